// Everything of the console works without this. It copies, filters a table while one types, keeps regions up to date, and
// sends a form once.

/** @param {string} selector @param {string} type @param {(event: Event, element: HTMLElement) => void} handle */
const on = (selector, type, handle) =>
  document.addEventListener(type, (event) => {
    const element = event.target instanceof Element ? event.target.closest(selector) : null;
    if (element instanceof HTMLElement) handle(event, element);
  });

const status = document.createElement('p');
status.className = 'hidden';
status.setAttribute('role', 'status');
document.body.append(status);

// Copy buttons.
const showCopyButtons = () => {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll('button[data-copy][hidden]')) button.removeAttribute('hidden');
};
on('button[data-copy]', 'click', async (_, button) => {
  await navigator.clipboard.writeText(button.dataset.copy ?? '');
  const { textContent } = button;
  button.textContent = 'Copied';
  status.textContent = 'Copied';
  setTimeout(() => (button.textContent = textContent), 1_500);
});

// Forms: a second click while the answer is on its way would create a second key, and the page of the first would never be seen.
const ANSWERED_WITHIN_MS = 15_000;
/** @type {WeakMap<HTMLElement, number>} */
let sentAt = new WeakMap();
on('form[method="post"]', 'submit', (event, form) => {
  if (event.timeStamp - (sentAt.get(form) ?? Number.NEGATIVE_INFINITY) < ANSWERED_WITHIN_MS) event.preventDefault();
  else sentAt.set(form, event.timeStamp);
});
addEventListener('pageshow', () => {
  sentAt = new WeakMap();
});

// Filters: `<input data-filter="id of the table">`.
on('input[data-filter]', 'input', (_, input) => {
  const words = /** @type {HTMLInputElement} */ (input).value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = document.querySelectorAll(`#${CSS.escape(input.dataset.filter ?? '')} tbody tr`);
  let shown = 0;
  for (const row of rows) {
    const text = (row.textContent ?? '').toLowerCase();
    const isShown = words.every((word) => text.includes(word));
    row.toggleAttribute('hidden', !isShown);
    if (isShown) shown++;
  }
  status.textContent = `${shown} of ${rows.length}`;
});

// Regions that are kept up to date: `<section id data-live="seconds">`.
const policy = window.trustedTypes?.createPolicy('valetkey', { createHTML: (text) => text });
const parse = (/** @type {string} */ text) =>
  new DOMParser().parseFromString(/** @type {string} */ (policy ? policy.createHTML(text) : text), 'text/html');

/** Above a page that stays as it is: the session has ended, or the broker does not answer. */
const stale = document.createElement('p');
stale.className = 'notice notice-failed';
stale.setAttribute('role', 'status');
stale.hidden = true;
const showStale = (/** @type {boolean} */ isStale) => {
  stale.hidden = !isStale;
  stale.textContent = isStale ? 'This page is not up to date any more. Reload it.' : '';
};

/** Who reads or fills in something there is not disturbed. */
const isInUse = (/** @type {Element} */ region) =>
  region.contains(document.activeElement) || region.querySelector('dialog[open], details[open]') !== null;

async function refresh(/** @type {Element} */ region) {
  if (document.hidden || isInUse(region)) return;
  // Who is not signed in any more is sent elsewhere, which is no answer.
  const response = await fetch(location.href, { headers: { accept: 'text/html' }, redirect: 'manual' });
  if (!response.ok) return showStale(true);
  const fresh = parse(await response.text()).getElementById(region.id);
  if (fresh && !isInUse(region)) region.replaceChildren(...document.importNode(fresh, true).childNodes);
  showCopyButtons();
  showStale(false);
}
if (document.querySelector('[data-live]')) document.querySelector('main')?.prepend(stale);
for (const region of document.querySelectorAll('[data-live]')) {
  const seconds = Math.max(2, Number(region.getAttribute('data-live')) || 10);
  setInterval(() => refresh(region).catch(() => showStale(true)), seconds * 1_000);
}

showCopyButtons();
