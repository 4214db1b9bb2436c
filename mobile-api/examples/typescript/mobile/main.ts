// The mobile app on a machine without a phone: it runs in a terminal, shows the address that the system browser would be opened
// with, and asks for the one that the browser would open the app with. On a phone only this file differs: see the README.

import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";

import { Gateway } from "../shared/gateway.ts";
import { Handles } from "../shared/handles.ts";
import { commands, explain } from "../shared/tour.ts";
import { Client } from "./oauth.ts";
import type { Phone } from "./phone.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: "boolean", short: "h", default: false },
    gateway: { type: "string", default: "http://127.0.0.1:8080" },
    app: { type: "string", default: "phone" },
    redirect: { type: "string", default: "com.example.orders:/signed-in" },
    file: { type: "string", default: "handles.json" },
  },
});

const say = (line: string) => console.log(line);

const phone: Phone = {
  async authenticate(address) {
    await this.browse(address);
    const terminal = createInterface({ input: process.stdin });
    say(`and paste the address that it goes to then (${values.redirect}?…):`);
    try {
      return (await terminal.question("")).trim();
    } finally {
      terminal.close();
    }
  },
  async browse(address) {
    say(`Open this address in a browser:\n  ${address}`);
  },
  vault: {
    read: () => readFile(values.file, "utf8").catch((problem) => (problem.code === "ENOENT" ? null : Promise.reject(problem))),
    async write(text) {
      await writeFile(`${values.file}.new`, text, { mode: 0o600 }); // whole or not at all
      await rename(`${values.file}.new`, values.file);
    },
    remove: () => rm(values.file, { force: true }),
  },
  randomBytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
  sha256: (data) => crypto.subtle.digest("SHA-256", data),
};

async function main(): Promise<void> {
  if (values.help) {
    return say(`mobile [--gateway URL] [--app ID] [--redirect URI] [--file FILE] [${Object.keys(commands).join("|")}]`);
  }
  const command = commands[positionals[0] ?? "tour"];
  if (!command) {
    throw new Error(`No such command. There are: ${Object.keys(commands).join(", ")}`);
  }
  const client = new Client({ gateway: values.gateway, app: values.app, redirectUri: values.redirect }, phone);
  const handles = new Handles(`${values.gateway} ${values.app}`, phone.vault, (refresh) => client.trade(refresh));
  await command({
    gateway: new Gateway(values.gateway, handles),
    signIn: () => client.signIn({ name: "Order desk on a phone", platform: "iOS 19.1" }),
    browse: (address) => phone.browse(address),
    say,
  });
}

main().catch((problem) => {
  console.error(explain(problem));
  process.exitCode = 1;
});
