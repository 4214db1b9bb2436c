// @vitest-environment happy-dom
// The focus is kept in the page when what has it is taken away.
import { afterEach, expect, test, vi } from "vitest";
import { keepFocus } from "../src/page.ts";

afterEach(() => (document.body.innerHTML = ""));

function page(): HTMLElement {
  const root = document.createElement("div");
  root.innerHTML = `<main><h1>Page</h1><p><button id="loose">Dismiss</button></p>
    <section><h2>Card</h2><ul><li><button id="end">End</button></li></ul><button id="other">Other</button></section></main>`;
  document.body.append(root);
  keepFocus(root);
  return root;
}

function at(id: string): HTMLElement {
  return document.getElementById(id)!;
}

test.each([
  ["end", "Card"],
  ["loose", "Page"],
])("of the button %s it goes to the heading %s", async (id, heading) => {
  page();
  at(id).focus();
  at(id).parentElement!.remove();
  await vi.waitFor(() => expect(document.activeElement?.textContent).toBe(heading));
});

test("it goes nowhere where whoever took the button away knows a better place", async () => {
  const root = page();
  at("end").focus();
  at("end").remove();
  at("other").focus();
  root.append("more"); // something else changes as well
  await new Promise((done) => setTimeout(done, 20));
  expect(document.activeElement).toBe(at("other"));
});

test("it goes nowhere when the user has left what is there still", async () => {
  const root = page();
  at("end").focus();
  at("end").blur();
  root.append("more");
  await new Promise((done) => setTimeout(done, 20));
  expect(document.activeElement).toBe(document.body);
});

test("it goes nowhere when it is outside of what is watched", async () => {
  page();
  const outside = document.createElement("button");
  document.body.append(outside);
  at("end").focus();
  outside.focus();
  at("end").remove();
  await new Promise((done) => setTimeout(done, 20));
  expect(document.activeElement).toBe(outside);
});
