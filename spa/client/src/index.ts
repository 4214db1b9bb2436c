/**
 * The browser's side of a Cloakroom gateway: who is signed in, and calls to the app's API.
 *
 * It knows the gateway's endpoints under `/bff`, the one header they ask for, and their problems. It knows no token and no
 * cookie, has no type for either, and could not get at one: they stay on the server's side.
 *
 * ```ts
 * const client = createClient();
 * client.subscribe(() => render(client.getState()));   // asks for the session at once
 * const orders = await (await client.fetch("/api/orders")).json();
 * ```
 *
 * The journey: client.ts asks and keeps the state, request.ts sends, live.ts hears what the gateway and other tabs say,
 * state.ts reads the session's answer, devices.ts the list of sessions, error.ts problems.
 */
export { createClient } from "./client.ts";
export type { Client, Remaining } from "./client.ts";
export type { Device } from "./devices.ts";
export { CloakroomError } from "./error.ts";
export type { Problem } from "./error.ts";
export type { EventSourceLike, Hearing } from "./live.ts";
export { takeLoginError } from "./login.ts";
export type { LoginOptions, Options } from "./options.ts";
export type { Session, State, Told, User } from "./state.ts";
