import type { Place } from "./address.tsx";
import { Failed, useSignIn } from "./SignIn.tsx";
import { wayBack } from "./words.ts";

/** What a visitor sees who is not signed in: what this is, and one way in. */
export function Welcome({ place }: { place: Place }) {
  const { leaving, failed, signIn } = useSignIn();
  return (
    <div className="welcome">
      <div className="pitch">
        <h1 tabIndex={-1}>
          Sign your users in. <em>Keep their tokens out of the browser.</em>
        </h1>
        <p className="lead">
          Cloakroom is a gateway that signs users in at your OpenID provider and keeps their tokens on the server’s side. The browser
          gets a cookie that no script can read, and your APIs get every call with the right token attached.
        </p>
        <button className="primary big" onClick={() => signIn()} disabled={leaving}>
          {leaving ? "One moment…" : "Sign in"}
        </button>
        <Failed text={failed} />
        <p className="fine">{wayBack(place)} The demo’s users have no passwords: choose one on the next page.</p>
      </div>
      <ol className="counter" aria-label="What is where">
        <li>
          <h2>Your frontend</h2>
          <p>holds a ticket: one cookie, HttpOnly and SameSite=Strict</p>
        </li>
        <li className="way">
          <code>GET /api/orders</code> with the cookie
        </li>
        <li className="ours">
          <h2>Cloakroom</h2>
          <p>keeps the coats: access, refresh and ID token, sealed, renewed in time, gone at sign-out</p>
        </li>
        <li className="way">
          <code>GET /api/orders</code> with the access token
        </li>
        <li>
          <h2>Your API</h2>
          <p>
            sees <code>Authorization: Bearer</code> and knows no cookie
          </p>
        </li>
      </ol>
    </div>
  );
}
