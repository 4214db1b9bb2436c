import assert from "node:assert/strict";
import { test } from "node:test";

import { Handles, SignedOut, type Pair, type Trade, type Vault } from "../shared/handles.ts";

const first: Pair = { access: "clk_1", refresh: "clr_1", ends: Date.now() - 1_000 };

function memory(): Vault & { text: string | null } {
  return {
    text: null,
    async read() { return this.text; },
    async write(text) { this.text = text; },
    async remove() { this.text = null; },
  };
}

/** Handles that hold the first pair, whose access handle has ended. */
async function holding(trade: Trade) {
  const vault = memory();
  const handles = new Handles("gw app", vault, trade, [1, 1]);
  await handles.keep(first);
  return { handles, vault };
}

const successor = (refresh: string): Pair => ({ access: `${refresh}a`, refresh: `${refresh}r`, ends: Date.now() + 900_000 });

test("many that find the access handle ended cost one renewal, which is written down before they have it", async () => {
  let asked = 0;
  const { handles, vault } = await holding(async (refresh) => {
    asked++;
    return successor(refresh);
  });
  await Promise.all(Array.from({ length: 8 }, async () => {
    const pair = await handles.current();
    assert.equal(pair.refresh, "clr_1r");
    assert.match(vault.text!, /clr_1r/);
  }));
  assert.equal(asked, 1);
});

test("who comes with handles that were replaced gets what replaced them", async () => {
  const { handles } = await holding(async (refresh) => successor(refresh));
  const next = await handles.renew(first);
  assert.deepEqual(await handles.renew(first), next);
});

test("an answer that is lost is asked for again, with the same handle", async () => {
  const asked: string[] = [];
  const { handles } = await holding(async (refresh) => {
    asked.push(refresh);
    if (asked.length < 3) {
      throw new TypeError("fetch failed");
    }
    return successor(refresh);
  });
  assert.equal((await handles.current()).access, "clr_1a");
  assert.deepEqual(asked, ["clr_1", "clr_1", "clr_1"]);
});

test("an outage costs nothing", async () => {
  const { handles, vault } = await holding(() => Promise.reject(new Error("503")));
  await assert.rejects(handles.current(), /503/);
  assert.match(vault.text!, /clr_1/);
});

test("the end of the session drops the handles, and is not asked about again", async () => {
  let asked = 0;
  const { handles, vault } = await holding(() => {
    asked++;
    return Promise.reject(new SignedOut("over"));
  });
  await assert.rejects(handles.current(), SignedOut);
  assert.equal(vault.text, null);
  assert.equal(asked, 1);
});

test("handles of another gateway or app are shown to nobody", async () => {
  const { vault } = await holding(async (refresh) => successor(refresh));
  const other = new Handles("elsewhere app", vault, () => assert.fail("shown"), []);
  await assert.rejects(other.current(), SignedOut);
  assert.match(vault.text!, /clr_1/);
});
