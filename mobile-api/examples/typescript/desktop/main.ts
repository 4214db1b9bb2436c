// A desktop app, as a program in a terminal. Electron's main process runs the same code: only what stands in this file differs.

import { spawn } from "node:child_process";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir, hostname, release, type } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";

import { bearer, Gateway } from "../shared/gateway.ts";
import { Handles, type Vault } from "../shared/handles.ts";
import { commands, explain } from "../shared/tour.ts";
import { keyIn, proving } from "./bound.ts";
import { discover, signIn, trade, type Server } from "./oauth.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: "boolean", short: "h", default: false },
    gateway: { type: "string", default: "http://127.0.0.1:8080" },
    app: { type: "string", default: "cli" },
    file: { type: "string", default: join(homedir(), ".config", "cloakroom-typescript-example", "handles.json") },
    bound: { type: "boolean", default: false },
    "no-browser": { type: "boolean", default: false },
  },
});

const say = (line: string) => console.log(line);

/**
 * Shows an address in the system browser: never in a window of our own, where the person could not tell who reads the password
 * (RFC 8252 section 8.12). In Electron this is shell.openExternal(address).
 */
async function browse(address: string): Promise<void> {
  const opener = { darwin: ["open"], win32: ["rundll32", "url.dll,FileProtocolHandler"] }[process.platform as string] ?? ["xdg-open"];
  if (!values["no-browser"]) {
    const browser = spawn(opener[0]!, [...opener.slice(1), address], { stdio: "ignore", detached: true });
    browser.on("error", () => {}); // then the person opens it by hand
    browser.unref();
  }
  say(`Open this address in a browser on this machine, if none opens by itself:\n  ${address}`);
}

/** A file for this user alone. In Electron: what goes into it passes safeStorage.encryptString first. */
function fileVault(file: string): Vault {
  return {
    read: () => readFile(file, "utf8").catch((problem) => (problem.code === "ENOENT" ? null : Promise.reject(problem))),
    async write(text) {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      await writeFile(`${file}.new`, text, { mode: 0o600 }); // whole or not at all
      await rename(`${file}.new`, file);
    },
    remove: () => rm(file, { force: true }),
  };
}

async function main(): Promise<void> {
  if (values.help) {
    return say(`desktop [--gateway URL] [--app ID] [--bound] [--no-browser] [--file FILE] [${Object.keys(commands).join("|")}]`);
  }
  const command = commands[positionals[0] ?? "tour"];
  if (!command) {
    throw new Error(`No such command. There are: ${Object.keys(commands).join(", ")}`);
  }
  const key = values.bound ? await keyIn(fileVault(`${values.file}.key`)) : undefined;
  let found: Server | undefined;
  const server = async () => (found ??= await discover(values.gateway, values.app, key));
  const owner = `${values.gateway} ${values.app}`;
  const handles = new Handles(owner, fileVault(values.file), async (refresh) => trade(await server(), refresh));
  await command({
    gateway: new Gateway(values.gateway, handles, key ? proving(key) : bearer()),
    signIn: async () => signIn(await server(), { name: `Order desk on ${hostname()}`, platform: `${type()} ${release()}` }, browse),
    browse,
    say,
  });
}

main().catch((problem) => {
  console.error(explain(problem));
  process.exitCode = 1;
});
