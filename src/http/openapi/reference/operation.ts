// One operation of the reference: description, parameters, responses and problems.
import { html } from 'hono/html';
import type { Html } from '../../pages/layout.ts';
import { type Description, type Media, type Operation, type Response, resolved } from '../document.ts';
import { curlOf } from './curl.ts';
import { bodyFields, parameterFields } from './fields.ts';
import { asJson, block, words } from './markup.ts';

const PROBLEM = 'application/problem+json';

export interface Place {
  path: string;
  method: string;
  operation: Operation;
}

export function operationSection(document: Description, { path, method, operation }: Place): Html {
  const { operationId: id, summary, description, parameters = [], requestBody, security, responses } = operation;
  const [body] = Object.values(requestBody?.content ?? {});
  const answers = Object.entries(responses).filter(([, { content }]) => !content?.[PROBLEM]);
  const isForMachines = !answers.some(([, { content }]) => content?.['text/html']);
  return html`
    <section class="operation" id="${id}" aria-labelledby="${id}-title">
      <h3 id="${id}-title"><a href="#${id}">${summary}</a></h3>
      <p class="route"><span class="method ${method}">${method.toUpperCase()}</span> <code>${path}</code> <span class="type">${id}</span></p>
      ${description ? html`<p>${words(description)}</p>` : ''}
      ${security.length === 0 ? html`<p class="quiet">No caller key needed.</p>` : ''}
      ${parameters.length > 0 ? html`<h4>Parameters</h4>${parameterFields(document, parameters)}` : ''}
      ${body ? html`<h4>Body${requestBody?.required ? '' : ' (optional)'}</h4>${bodyFields(document, body.schema) ?? ''}` : ''}
      ${isForMachines ? html`<h4>Example</h4>${block(curlOf(document, method, path, operation))}` : ''}
      <h4>Responses</h4>
      ${answers.map(([status, answer]) => answerPart(document, status, answer))}
      ${problemsPart(document, responses)}
    </section>`;
}

function answerPart(document: Description, status: string, { description, content = {} }: Response): Html {
  const [[type, media] = []] = Object.entries(content);
  const isRefusal = Number(status) >= 400;
  // Error responses are nearly the same everywhere, so they are folded.
  const fields = media && !isRefusal ? bodyFields(document, media.schema) : undefined;
  const shown = media && Object.keys(media.examples ?? {}).length > 0 ? examplesPart(document, media) : '';
  const examples = isRefusal && shown ? html`<details><summary>Examples</summary>${shown}</details>` : shown;
  return html`
    <div class="answer">
      <p><strong>${status}</strong> ${words(description)}${type && type !== 'application/json' ? html` <span class="type">${type}</span>` : ''}</p>
      ${examples}
      ${fields ? html`<details><summary>Response members</summary>${fields}</details>` : ''}
    </div>`;
}

const examplesPart = (document: Description, { examples = {} }: Media): Html =>
  html`${Object.values(examples).map((example) => {
    const { summary, value } = resolved(document, example);
    return html`${summary ? html`<p class="quiet">${summary}:</p>` : ''}${block(typeof value === 'string' ? value : asJson(value))}`;
  })}`;

/** By status and code; a section of its own describes each code. */
function problemsPart(document: Description, responses: Operation['responses']): Html | '' {
  const named = Object.entries(responses).flatMap(([status, { content }]) =>
    status === 'default'
      ? []
      : Object.entries(content?.[PROBLEM]?.examples ?? {}).map(([code, one]) => ({ status, code, one })),
  );
  if (named.length === 0) return '';
  return html`
    <h4>Problems</h4>
    <ul class="problems">
      ${named.map(
        ({ status, code, one }) => html`
        <li><strong>${status}</strong> <a href="#problem-${code}"><code>${code}</code></a> <span>${resolved(document, one).summary}</span></li>`,
      )}
    </ul>`;
}
