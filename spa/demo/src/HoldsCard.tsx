import { useClock } from "./page.ts";

/** Everything that a script of this origin can get at, an injected one included. */
export function HoldsCard() {
  useClock(); // looked at anew each second: what shows up here should be seen
  const places = [
    { name: "document.cookie", found: document.cookie === "" ? 0 : document.cookie.split(";").length },
    { name: "localStorage", found: localStorage.length },
    { name: "sessionStorage", found: sessionStorage.length },
  ];
  const clean = places.every((place) => place.found === 0);
  return (
    <section className="card" aria-labelledby="holds">
      <h2 id="holds">What this browser holds</h2>
      <dl className="holds">
        {places.map(({ name, found }) => (
          <div key={name}>
            <dt>
              <code>{name}</code>
            </dt>
            <dd className={found === 0 ? "good" : "bad"}>{found === 0 ? "empty" : found === 1 ? "1 entry" : `${found} entries`}</dd>
          </div>
        ))}
        <div>
          <dt>Session cookie</dt>
          <dd className="good">unreadable</dd>
        </div>
      </dl>
      <p className="fine">
        {clean
          ? "A cookie it cannot read, nothing else: that is all a script on this page could take, ours or an injected one. Try it in the console."
          : "Something else on this origin has left entries here. None of them is Cloakroom’s."}
      </p>
    </section>
  );
}
