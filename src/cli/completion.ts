// `completion`: shell completion scripts, generated from the command tree.
import { Argument, type Command } from 'commander';
import { example } from './example.ts';
import type { Io } from './io.ts';

export function completionCommand(program: Command, io: Io): void {
  const completion = program
    .command('completion')
    .description('print a shell completion script')
    .addArgument(new Argument('<shell>').choices(Object.keys(SHELLS)));
  example(
    completion,
    'source <(valetkey completion bash)',
    'source <(valetkey completion zsh)',
    'valetkey completion fish | source',
  ).action((shell: keyof typeof SHELLS) => io.out(SHELLS[shell](statesOf(program))));
}

/** The candidates after a command path. All words are ours: letters, digits and dashes, so they need no quoting. */
interface State {
  path: string;
  words: { word: string; description: string }[];
}

function statesOf(command: Command, path = '', inherited: State['words'] = []): State[] {
  const visible = command.createHelp();
  const options = visible
    .visibleOptions(command)
    .map(({ long, short, description }) => ({ word: long ?? short ?? '', description }));
  const below = command.commands.map((one) => ({ word: one.name(), description: one.description() }));
  const global = path === '' ? options.filter(({ word }) => word !== '--help') : inherited;
  const state = { path, words: [...below, ...options, ...(path === '' ? [] : inherited)] };
  return [state, ...command.commands.flatMap((one) => statesOf(one, `${path} ${one.name()}`, global))];
}

/** Sets `offered`. `at` is the command path within the words so far. (In zsh, `path` and `words` are special names.) */
const offer = (states: State[], wordsSoFar: string): string => `  local at="" word offered
  for word in ${wordsSoFar}; do
    case "$at $word" in ${commandsOf(states).join('|')}) at="$at $word" ;; esac
  done
  case "$at" in
${states.map(({ path, words }) => `    "${path}") offered="${words.map(({ word }) => word).join(' ')}" ;;`).join('\n')}
  esac`;

const commandsOf = (states: State[]): string[] => states.slice(1).map(({ path }) => `"${path}"`);

const SHELLS = {
  bash: (states: State[]) => `_valetkey() {
${offer(states, `"\${COMP_WORDS[@]:1:COMP_CWORD-1}"`)}
  COMPREPLY=($(compgen -W "$offered" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _valetkey valetkey`,

  zsh: (states: State[]) => `#compdef valetkey
_valetkey() {
${offer(states, `"\${(@)words[2,CURRENT-1]}"`)}
  compadd -- \${=offered}
  _files
}
compdef _valetkey valetkey`,

  fish: (states: State[]) => `function __valetkey_at
  set -l at ""
  for word in (commandline -opc)[2..]
    switch "$at $word"
      case ${commandsOf(states).join(' ')}
        set at "$at $word"
    end
  end
  test "$at" = "$argv[1]"
end
${states
  .flatMap(({ path, words }) =>
    words.map(
      ({ word, description }) =>
        `complete -c valetkey -n '__valetkey_at "${path}"' -a '${word}' -d '${description.replaceAll("'", "\\'")}'`,
    ),
  )
  .join('\n')}`,
};
