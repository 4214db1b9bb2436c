import { CloakroomError, createClient, takeLoginError } from "@cloakroom/client";
import type { Client, Device, Options, Problem, Remaining, Session, State, User } from "@cloakroom/client";
import { createFakeGateway } from "@cloakroom/client/testing";

const gateway = createFakeGateway();
const options: Options = { ...gateway.options, warn: 30 };
const client: Client = createClient(options);

/** Each state has what belongs to it, and nothing else: the compiler follows `status`. */
export function told(state: State): string {
  switch (state.status) {
    case "loading":
      return "…";
    case "signed-out":
      return state.reason ?? "";
    case "signed-in":
      return `${state.user.sub} ${state.session.id} ${state.ending ?? ""} ${state.stepUp?.code ?? ""}`;
    case "unavailable":
      return `${state.error.code} ${state.retryAt} ${state.user?.sub ?? ""}`;
  }
}

export async function calls(): Promise<[Response, Device[], Remaining | null, string | null]> {
  try {
    return [await client.fetch("/api/orders"), await client.devices.list(), client.remaining(), takeLoginError()];
  } catch (error) {
    const problem: Problem | null = error instanceof CloakroomError ? error : null;
    throw new Error(problem?.code, { cause: error });
  }
}

export const session = (state: State): [User, Session] | null => (state.status === "signed-in" ? [state.user, state.session] : null);

// @ts-expect-error A user has no such member that is a text: claims are unknown until the app has looked at them.
export const claim: string = (client.getState() as Extract<State, { status: "signed-in" }>).user.department;
