// The texts of the settings: from variables, from the files that `NAME_FILE` names, and from variables that platforms set.
import { secretIn } from './secret-file.ts';
import { SETTING_NAMES, type SettingName, settingOf } from './settings.ts';

export type Env = Record<string, string | undefined>;
/** May throw an error with a `code`. */
export type ReadFile = (path: string) => string;

export interface Environment {
  /** By setting; without those that are not set or empty. */
  texts: Partial<Record<SettingName, string>>;
  /** The variable that a setting was read from. */
  sourceOf(name: string): string;
  issues: string[];
  /** Variables that look like settings and are none. */
  unknown: string[];
}

/** Variables of the command line, and those that Kubernetes sets for a service named valetkey. */
const FOREIGN = /^VALETKEY_(URL|KEY|KEY_FILE|SERVICE_.*|PORT_\d.*)$/;

/** An empty variable counts as not set. */
export function readEnvironment(env: Env, readFile: ReadFile): Environment {
  const isSet = (name: string) => (env[name] ?? '').trim() !== '';
  const texts: Environment['texts'] = {};
  const sources: Record<string, string> = {};
  const issues: string[] = [];
  for (const name of SETTING_NAMES) {
    const { secret, alias } = settingOf(name);
    const variable = [name, ...(alias === undefined ? [] : [alias])].find(isSet);
    const file = `${name}_FILE`;
    if (secret && isSet(file)) {
      const read = variable === undefined ? secretIn(env[file]!, readFile) : { issue: `${variable} is set too` };
      sources[name] = file;
      if ('issue' in read) issues.push(`${file}: ${read.issue}`);
      else texts[name] = read.text;
    } else if (variable !== undefined) {
      sources[name] = variable;
      texts[name] = env[variable]!;
    }
  }
  const known = new Set(SETTING_NAMES.flatMap((name) => (settingOf(name).secret ? [name, `${name}_FILE`] : [name])));
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith('VALETKEY_') && isSet(name) && !known.has(name) && !FOREIGN.test(name),
  );
  return { texts, sourceOf: (name) => sources[name] ?? name, issues, unknown };
}
