import { type AnchorHTMLAttributes, type MouseEvent, useSyncExternalStore } from "react";

/** What the address asks for. */
export type Place =
  | { page: "overview" }
  | { page: "orders" }
  | { page: "order"; id: string }
  | { page: "export" }
  | { page: "account" }
  | { page: "unknown" };

/** Reads a path. Everything that is not ours is unknown: the server answers any path with this app. */
export function placeOf(path: string): Place {
  const [, first = "", id, ...rest] = path.replace(/\/+$/, "").split("/");
  if (rest.length > 0 || (id !== undefined && first !== "orders")) {
    return { page: "unknown" };
  }
  switch (first) {
    case "":
      return { page: "overview" };
    case "orders":
      return id === undefined ? { page: "orders" } : { page: "order", id: decoded(id) };
    case "export":
    case "account":
      return { page: first };
    default:
      return { page: "unknown" };
  }
}

/** A segment as it was before it was escaped; one that is escaped wrongly stays as it is. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

const moved = "cloakroom-demo:moved"; // pushState tells nobody, so this event does

function subscribe(listener: () => void): () => void {
  window.addEventListener("popstate", listener);
  window.addEventListener(moved, listener);
  return () => {
    window.removeEventListener("popstate", listener);
    window.removeEventListener(moved, listener);
  };
}

/** The path that the browser shows. */
export function usePath(): string {
  return useSyncExternalStore(subscribe, () => location.pathname);
}

/** Goes to a path of this app. */
export function go(path: string): void {
  history.pushState(null, "", path);
  window.dispatchEvent(new Event(moved));
  window.scrollTo(0, 0);
}

/** A link within the app. What the user opens in a new tab or window is left to the browser. */
export function Link({ href, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  const follow = (event: MouseEvent): void => {
    if (event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      go(href);
    }
  };
  return <a href={href} onClick={follow} {...rest} />;
}

/** Takes away the empty fragment that a redirect may leave behind. */
export function tidyAddress(): void {
  if (location.href.endsWith("#")) {
    history.replaceState(history.state, "", location.pathname + location.search);
  }
}

const names = new Map([
  ["board", "Board"],
  ["notes", "Notes"],
  ["docs", "Handbook"],
]);

/** The other apps of the same sign-in, beside this one, as the page was served with them; none where this world has none. */
export function neighbours(): { name: string; url: string }[] {
  const apps = document.querySelector<HTMLMetaElement>("meta[name=apps]")?.content.split(" ") ?? [];
  const found = apps.map((app) => ({ name: names.get(app) ?? "", url: `http://${app}.localhost:${location.port || "80"}/` }));
  return location.hostname === "localhost" ? found.filter(({ name }) => name !== "") : [];
}
