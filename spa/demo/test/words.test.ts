import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CloakroomError } from "@cloakroom/client";
import { placeOf } from "../src/address.tsx";
import { ApiError } from "../src/api.ts";
import { mistakesIn } from "../src/orders.ts";
import {
  ago,
  callFailed,
  countdown,
  greeting,
  initials,
  kindOf,
  lasts,
  loginFailed,
  nameOf,
  orderFailed,
  outage,
  refundFailed,
  sentence,
  sessionOver,
  span,
  titleOf,
  wayBack,
} from "../src/words.ts";

test.each([
  ["/", { page: "overview" }],
  ["/orders", { page: "orders" }],
  ["/orders/", { page: "orders" }],
  ["/orders/ord_0001", { page: "order", id: "ord_0001" }],
  ["/orders/a%2Fb", { page: "order", id: "a/b" }],
  ["/orders/%E0%A4%A", { page: "order", id: "%E0%A4%A" }],
  ["/orders/1/items", { page: "unknown" }],
  ["/export", { page: "export" }],
  ["/account/", { page: "account" }],
  ["/account/keys", { page: "unknown" }],
  ["/elsewhere", { page: "unknown" }],
  ["/constructor", { page: "unknown" }],
  ["//orders", { page: "unknown" }],
])("the path %s", (path, place) => {
  expect(placeOf(path)).toEqual(place);
});

describe("an order", () => {
  test.each([
    ["with all it takes", "Coat", "2", []],
    ["of the most there may be", "x".repeat(80), "999", []],
    ["of the most there may be, with blanks around it", ` ${"x".repeat(80)} `, " 999 ", []],
    ["without an item", "  ", "1", ["item"]],
    ["with an item too long", "x".repeat(81), "1", ["item"]],
    ["of nothing", "Coat", "0", ["quantity"]],
    ["of a part", "Coat", "1.5", ["quantity"]],
    ["of less than nothing", "Coat", "-1", ["quantity"]],
    ["of too many", "Coat", "1000", ["quantity"]],
    ["with nothing at all", "", "", ["item", "quantity"]],
  ])("%s", (_, item, quantity, wrong) => {
    expect(Object.keys(mistakesIn(item, quantity))).toEqual(wrong);
  });
});

test.each([
  [43_199, "11\u00a0h\u00a059\u00a0min"],
  [3_600, "1\u00a0h\u00a00\u00a0min"],
  [3_599.9, "59:59"],
  [1_781, "29:41"],
  [5, "0:05"],
  [-3, "0:00"],
])("%d seconds are %s", (seconds, words) => {
  expect(span(seconds)).toBe(words);
});

test.each([
  ["Ada Lovelace", "AL"],
  ["Ada King Lovelace", "AL"],
  ["ada", "A"],
  ["ada.lovelace@example.com", "A"],
  ["Ægir Ǫrvar", "ÆǪ"],
  ["😀 x", "😀X"],
  ["", "?"],
])("the initials of %s", (name, letters) => {
  expect(initials(name)).toBe(letters);
});

test.each([
  ["2026-01-02T12:00:00Z", "just now"],
  ["2026-01-02T12:00:30Z", "just now"], // the gateway's clock is ahead
  ["2026-01-02T11:59:00Z", "1 minute ago"],
  ["2026-01-02T11:00:30Z", "59 minutes ago"],
  ["2026-01-02T11:00:00Z", "1 hour ago"],
  ["2026-01-01T12:00:01Z", "23 hours ago"],
  ["2025-12-30T12:00:00Z", "3 days ago"],
  ["nonsense", "just now"],
])("%s is %s", (when, words) => {
  expect(ago(new Date(when), Date.parse("2026-01-02T12:00:00Z"))).toBe(words);
});

test.each([
  ["spa", "single-page app"],
  ["", ""],
  ["constructor", ""],
])("an app of kind %s is %s", (kind, words) => {
  expect(kindOf(kind)).toBe(words);
});

// The address is anybody's to write: what it says is told in words of ours or not at all.
test.each(["<b>call 555-0100</b>", "constructor", "__proto__", ""])("a sign-in error that nobody knows, %s, has words of ours", (code) => {
  expect(loginFailed(code).title).toBe("The sign-in did not work");
});

const documented = readFileSync(new URL("../../../docs/endpoints.md", import.meta.url), "utf8").split("## Reasons")[1]?.split("\n## ")[0] ?? "";

/** Of sessions that are no browser's. */
const elsewhere = ["handle_reused", "code_replayed"];

test("each reason of the gateway has words of its own", () => {
  const reasons = [...documented.matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, reason]) => reason!);
  expect(reasons).toContain("idle");
  const wordless = reasons.filter((reason) => sessionOver(reason).title === sessionOver(undefined).title);
  expect(wordless).toEqual(elsewhere);
});

test("each end of a session, and each failure of a call, has words", () => {
  for (const reason of [undefined, "signed_out", "provider_logout", "admin", "limit", "idle", "absolute", "never heard of", "toString"]) {
    expect(sessionOver(reason).title).toMatch(/\w/);
  }
  const failed = (code: string): CloakroomError => new CloakroomError({ code, title: "Title", status: 502, detail: "Detail" });
  expect(callFailed(failed("upstream_unavailable")).text).toContain("still signed in");
  expect(callFailed(failed("something_new"))).toEqual({ title: "Title", text: "Detail" });
  expect(orderFailed(failed("upstream_timeout"))).toContain("not known");
  expect(orderFailed(failed("store_unavailable"))).toBe("Your order is not placed.");
  expect(callFailed(new ApiError(409, "already_refunded"))).toEqual({ title: "The API refuses", text: "This order is refunded already." });
  expect([orderFailed(new ApiError(409, "")), refundFailed(new ApiError(404, ""))]).toEqual(["Your order is not placed.", "Nothing is paid back."]);
  expect(orderFailed(new ApiError(500, ""))).toContain("not known");
  expect(refundFailed(new TypeError("of this page"))).toContain("not known");
  expect(callFailed(new TypeError("of this page"))).toEqual({ title: "That did not work", text: "TypeError: of this page" });
});

test.each([
  ["a store that is away", "store_unavailable", true, "We cannot reach the session store"],
  ["a gateway that is away", "network", true, "We cannot reach the gateway"],
  ["a gateway that restarts", "draining", true, "The gateway is restarting"],
  ["too many requests", "rate_limited", true, "These are too many requests at once"],
  ["a key that is not there yet", "key_unknown", true, "The gateway cannot open your session yet"],
  ["a code that nobody knows", "brand_new", true, "In the gateway’s words"],
  ["a code that every object has", "constructor", true, "In the gateway’s words"],
  ["no network, whatever was tried", "network", false, "You are offline"],
  ["no network before anything was tried", null, false, "You are offline"],
])("an outage with %s", (_, code, online, words) => {
  const error = code === null ? null : new CloakroomError({ code, title: "In the gateway’s words", status: 0, detail: "" });
  expect(outage(error, online)).toBe(words);
});

test.each([
  ["csrf_failed", true],
  ["misdirected", true],
  ["rate_limited", false],
  ["store_unavailable", false],
])("an outage with %s waits for somebody to mend it: %s", (code, mended) => {
  const error = new CloakroomError({ code, title: "", status: 0, detail: "" });
  expect([lasts(error), lasts(null)]).toEqual([mended, false]);
});

test("each code that asking for the session may meet has words of its own", () => {
  const met = ["network", "bad_answer", "draining", "store_unavailable", "key_unknown", "rate_limited", "internal", "csrf_failed", "misdirected"];
  const words = met.map((code) => outage(new CloakroomError({ code, title: "", status: 0, detail: "" }), true));
  expect(new Set(words.filter((one) => one !== "")).size).toBe(met.length);
});

test.each([
  [60, ""],
  [31, ""],
  [30, "30 seconds left."],
  [11, "30 seconds left."],
  [10, "10 seconds left."],
  [0, "10 seconds left."],
])("of a countdown at %d s is said aloud: %s", (seconds, words) => {
  expect(countdown(seconds)).toBe(words);
});

test.each([
  [4, "Good night, Ada"],
  [5, "Good morning, Ada"],
  [12, "Good afternoon, Ada"],
  [18, "Good evening, Ada"],
])("at %d o'clock: %s", (hour, words) => {
  expect(greeting({ sub: "usr_1", name: "Ada" }, new Date(2026, 0, 2, hour))).toBe(words);
});

test.each([
  [{ sub: "usr_1", name: "Ada", email: "ada@example.com" }, "Ada"],
  [{ sub: "usr_1", email: "ada@example.com" }, "ada@example.com"],
  [{ sub: "usr_1" }, "usr_1"],
])("a user is called by what is known of them", (user, name) => {
  expect(nameOf(user)).toBe(name);
});

test.each([
  ["/", "Cloakroom Coats", ""],
  ["/orders/ord_0007", "Order ord_0007 · Cloakroom Coats", "Afterwards you see order ord_0007."],
  ["/account", "Account · Cloakroom Coats", "Afterwards you see your account."],
  ["/elsewhere", "Nothing here · Cloakroom Coats", ""],
])("the window at %s, and the way back there", (path, title, way) => {
  expect([titleOf(placeOf(path)), wayBack(placeOf(path))]).toEqual([title, way]);
});

test.each(["insufficient_user_authentication", "step_up_not_satisfiable"])("a call refused with %s is told in words of ours", (code) => {
  const error = new CloakroomError({ code, title: "Problem", status: 401, detail: "detail" });
  expect(callFailed(error).title).not.toBe("Problem");
  expect(orderFailed(error)).toBe("Your order is not placed.");
});

test.each(["step_up_unmet", "unmet_authentication_requirements"])("a sign-in that ends with %s leaves everything as it was, and says so", (code) => {
  expect(loginFailed(code).text).toContain("signed in as before");
});

test.each([
  ["No answer", "No answer."],
  ["Is it still you?", "Is it still you?"],
  ["Trying…", "Trying…"],
])("the title %s begins a text as %s", (title, begin) => {
  expect(sentence(title)).toBe(begin);
});
