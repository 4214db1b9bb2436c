// No rule without an element, and no class without a rule: what is left over is a mistake, or soon makes one.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const folder = fileURLToPath(new URL("../src/", import.meta.url));

/** The text of all files of a kind. */
function textOf(ending: RegExp): string {
  const names = readdirSync(folder).filter((name) => ending.test(name));
  return names.map((name) => readFileSync(folder + name, "utf8")).join("\n");
}

/** The classes that selectors name. */
function classesIn(css: string): Set<string> {
  const selectors = css.replace(/\/\*.*?\*\//gs, "").match(/[^{};]+(?=\{)/g) ?? [];
  return new Set(selectors.flatMap((selector) => [...selector.matchAll(/\.([a-z][\w-]*)/g)].map(([, name = ""]) => name)));
}

/** The classes that elements are given, as far as they stand there as texts. */
function classesOf(source: string): Set<string> {
  const given = [...source.matchAll(/className=("[^"]*"|\{(?:[^{}]|\{[^{}]*\})*\})/g)].map(([, value = ""]) => value);
  const texts = given.flatMap((value) => [...value.replace(/[!=]== "[^"]*"/g, "").matchAll(/["`]([^"`]*)["`]/g)].map(([, text = ""]) => text));
  return new Set(texts.flatMap((text) => text.replace(/\$\{[^}]*\}/g, "").split(/\s+/)).filter((name) => name !== ""));
}

const css = textOf(/\.css$/);
const source = textOf(/\.tsx?$/);

test("every class of the style sheets is one that an element may have", () => {
  const words = new Set((source + readFileSync(`${folder}../index.html`, "utf8")).match(/[\w-]+/g));
  expect([...classesIn(css)].filter((name) => !words.has(name))).toEqual([]);
});

test("every class of an element has a rule", () => {
  const ruled = classesIn(css);
  expect([...classesOf(source)].filter((name) => !ruled.has(name))).toEqual([]);
});

test("every variable is set, and used", () => {
  const set = new Set([...css.matchAll(/(--[\w-]+):/g)].map(([, name]) => name));
  const used = new Set([...css.matchAll(/var\((--[\w-]+)/g)].map(([, name]) => name));
  expect(set).toEqual(used);
});

describe("classes are found", () => {
  test("in style sheets", () => {
    expect(classesIn("/* .no{} */ .a.b > p:hover, .c { top: .5em } @media (x) { .d { e: f } }")).toEqual(new Set(["a", "b", "c", "d"]));
  });

  test("of elements", () => {
    const text = '<p className="a b"/><p className={x === "no" ? "c" : undefined}/><p className={`d ${x}`}/>';
    expect(classesOf(text)).toEqual(new Set(["a", "b", "c", "d"]));
  });
});
