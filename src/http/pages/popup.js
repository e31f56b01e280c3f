// The last page of a connect session in a pop-up: tells the window that opened it how the session has ended, and closes. A window
// that was not opened by @valetkey/connect goes on to the `return_url`.
const { origin, session, status, error, url } = document.currentScript.dataset;
if (window.opener && window.name === 'valetkey-connect') {
  const message = { type: 'valetkey', connect_session_id: session, status };
  window.opener.postMessage(error ? { ...message, error } : message, origin);
  window.close();
} else {
  window.location.replace(url);
}
