// The package on a server, where there is no document: it is imported and used, and whatever it would set going is told.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const touched = [];
for (const name of ["fetch", "BroadcastChannel", "EventSource", "setTimeout", "setInterval", "requestAnimationFrame"]) {
  globalThis[name] = new Proxy(globalThis[name] ?? function () {}, {
    apply: () => assert.fail(touched.push(name)),
    construct: () => assert.fail(touched.push(name)),
  });
}
const before = Object.getOwnPropertyNames(globalThis);

const { createClient, takeLoginError } = await import("@cloakroom/client");
assert.equal(createRequire(import.meta.url)("@cloakroom/client").createClient, createClient, "a server in CommonJS has the same");
const client = createClient();
const loading = client.getServerState();
assert.deepEqual(loading, { status: "loading" });
assert.equal(client.getState(), loading, "one object: a renderer compares by identity");
let told = 0;
const stop = client.subscribe(() => told++);
assert.equal(await client.check(), loading);
assert.equal(client.remaining(), null);
assert.equal(takeLoginError(), null);
stop();
client.close();
assert.equal(told, 0);

assert.deepEqual(touched, [], "set going on a server");
assert.deepEqual(Object.getOwnPropertyNames(globalThis), before, "globals of the package's own");
console.log("as quiet as it should be");
