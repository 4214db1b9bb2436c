import { compiles } from "./wasm.js";

const element = (name, set = {}) => Object.assign(document.createElement(name), set);
const shown = (node) => (document.body.append(node), node);
const red = (node) => getComputedStyle(node).color === "rgb(255, 0, 0)";

const answers = (start) => new Promise((resolve) => {
  try {
    start(resolve);
  } catch {
    resolve(false);
  }
});

const picture = (src) => answers((tell) => shown(element("img", { onload: () => tell(true), onerror: () => tell(false), src })));

const worker = (made, say) => answers((tell) => {
  const it = made();
  it.onmessage = ({ data }) => tell(data);
  it.onerror = () => tell(false);
  it.postMessage(say);
});

/** Tries everything; elsewhere is an address of another origin. */
export async function tried(elsewhere) {
  const results = {};
  const say = (what, works) => { results[what] = works; };
  const by = (what, how) => {
    const node = shown(element("i", { className: "tried-" + Object.keys(results).length }));
    how(node);
    say(what, red(node));
  };
  by("a property of an element's style", (node) => { node.style.color = "red"; });
  by("a style attribute set by setAttribute", (node) => node.setAttribute("style", "color: red"));
  by("a style element with text", (node) => document.head.append(element("style", { textContent: `.${node.className} {color: red}` })));
  by("a style element filled by insertRule", (node) => {
    const style = element("style");
    document.head.append(style);
    style.sheet?.insertRule(`.${node.className} {color: red}`);
  });
  by("a constructed style sheet", (node) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`.${node.className} {color: red}`);
    document.adoptedStyleSheets.push(sheet);
  });
  say("a picture from a data: URL", await picture("data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>"));
  say("a picture from a blob: URL", await picture(URL.createObjectURL(new Blob(["<svg xmlns='http://www.w3.org/2000/svg'/>"], { type: "image/svg+xml" }))));
  say("a picture from another origin", await picture(elsewhere));
  say("eval", await answers((tell) => tell(Function("return true")())));
  say("WebAssembly", await compiles());
  const inside = await worker(() => new Worker(new URL("./worker.js", import.meta.url), { type: "module" }), elsewhere);
  say("a worker of the build", Boolean(inside));
  say("a worker's call home", inside.home);
  say("a worker's call elsewhere", inside.elsewhere);
  say("a worker's WebAssembly", inside.wasm);
  say("a worker from a blob: URL", await worker(() => new Worker(URL.createObjectURL(new Blob(["onmessage = () => postMessage(true)"]))), ""));
  return results;
}
