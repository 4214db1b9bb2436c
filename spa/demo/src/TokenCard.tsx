import { useSession } from "@cloakroom/client/react";
import { useClock } from "./page.ts";
import type { Asked, Whoami } from "./whoami.ts";
import { callFailed, sentence } from "./words.ts";

/** The access token as the API saw it: this page knows its age and nothing else of it. */
export function TokenCard({ whoami }: { whoami: Asked }) {
  const { answer, at } = whoami;
  const error = useSession().status === "unavailable" ? null : whoami.error; // an outage is told above, once
  return (
    <section className="card" aria-labelledby="token">
      <h2 id="token">Access token</h2>
      {answer?.token !== undefined ? (
        <Life token={answer.token} at={at} />
      ) : (
        <p className="waiting">{whoami.error === null ? "Asking the API…" : "Not known."}</p>
      )}
      {error !== null && (
        <p className="bad" role="alert">
          <strong>{sentence(callFailed(error).title)}</strong> {callFailed(error).text}
        </p>
      )}
      <p className="fine">
        Cloakroom renews it before it runs out, once, however many calls wait for it. That it exists is all this page can tell.
      </p>
    </section>
  );
}

function Life({ token, at }: { token: NonNullable<Whoami["token"]>; at: number }) {
  const since = Math.max(0, Math.floor((useClock() - at) / 1000));
  const age = token.age + since;
  const left = Math.max(0, token.expires_in - since);
  return (
    <>
      <p className="figure" key={token.number}>
        <small>no.</small> <span className="digits fresh">{token.number}</span>
      </p>
      <progress max={token.age + token.expires_in || 1} value={left} aria-label="Life of the access token that is left" />
      <p>
        {token.number > 1 ? "Renewed" : "Issued"} <span className="digits">{age} s</span> ago, <span className="digits">{left} s</span> left.
      </p>
    </>
  );
}
