// No build, no framework: the package's own files, loaded as they are published.
import { createClient } from "./cloakroom/index.js";

const client = createClient();
const [title, output] = [document.querySelector("h1"), document.querySelector("output")];
const [signIn, call, signOut] = ["in", "call", "out"].map((id) => document.getElementById(id));

function render() {
  const state = client.getState();
  title.textContent = state.user ? `Hello ${state.user.name}` : "";
  title.hidden = call.hidden = signOut.hidden = state.status !== "signed-in";
  signIn.hidden = state.status !== "signed-out";
}

signIn.addEventListener("click", () => client.login());
signOut.addEventListener("click", () => client.logout());
call.addEventListener("click", async () => {
  output.textContent = JSON.stringify(await (await client.fetch("/api/whoami")).json());
});
client.subscribe(render);
