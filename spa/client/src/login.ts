/**
 * Why the sign-in that led to this page failed: a code, as `access_denied`, that the gateway put into the page's address; null
 * where there is none, and on a server. It is taken out of the address, so that a reload does not tell it again.
 */
export function takeLoginError(): string | null {
  if (!globalThis.location) {
    return null;
  }
  const url = new URL(location.href);
  const code = url.searchParams.get("login_error");
  if (code !== null) {
    url.searchParams.delete("login_error");
    history.replaceState(history.state, "", url.href);
  }
  return code;
}
