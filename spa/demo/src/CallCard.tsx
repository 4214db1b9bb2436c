import type { Asked } from "./whoami.ts";

/** What is to be seen of one header field at both ends; null = it is not there. */
interface Row {
  name: string;
  sent: string | null;
  received: string | null;
  note: string;
}

/** What the page puts on its call, and the cookie that the browser adds and the page cannot see. */
const sent = new Map([
  ["cookie", { value: "the ticket, unreadable here", note: "stays at the gateway" }],
  ["x-csrf", { value: "1", note: "shows that the app itself asks; checked, then dropped" }],
]);

/** Fields that the gateway makes; those that stand in neither list come from the browser as they are. */
const made = ["authorization", "x-request-id", "traceparent", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "via"];

function rowsOf(received: Map<string, string>): Row[] {
  const fromPage = [...sent].map(([name, { value, note }]) => ({ name, sent: value, received: received.get(name) ?? null, note }));
  const fromGateway = made
    .filter((name) => received.has(name))
    .map((name) => ({ name, sent: null, received: received.get(name)!, note: "added by Cloakroom" }));
  return [...fromPage, ...fromGateway];
}

/** One call, seen from both ends: what the gateway took off and what it put on. */
export function CallCard({ whoami }: { whoami: Asked }) {
  const received = new Map(Object.entries(whoami.answer?.headers ?? {}).map(([name, values]) => [name.toLowerCase(), values.join(", ")]));
  const others = [...received].filter(([name]) => !sent.has(name) && !made.includes(name)).sort(([a], [b]) => (a < b ? -1 : 1));
  return (
    <section className="card wide" aria-labelledby="call">
      <h2 id="call">One call, seen from both ends</h2>
      <p>
        <code>GET /api/whoami</code> leaves this page with a cookie and reaches the API with a token.
      </p>
      {whoami.answer === null ? (
        <p className="waiting">{whoami.error === null ? "Asking the API…" : "The API has not answered yet."}</p>
      ) : (
        <>
          <Ends rows={rowsOf(received)} />
          <details>
            <summary>{others.length} more fields, passed on as the browser made them</summary>
            <dl className="others">
              {others.map(([name, value]) => (
                <div key={name}>
                  <dt>{proper(name)}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
          </details>
        </>
      )}
    </section>
  );
}

function Ends({ rows }: { rows: Row[] }) {
  return (
    <table className="ends" aria-labelledby="call">
      <thead>
        <tr>
          <th scope="col">Header</th>
          <th scope="col">This page sent</th>
          <th scope="col">The API received</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ name, sent, received, note }) => (
          <tr key={name} className={name === "authorization" ? "added" : undefined}>
            <th scope="row">{proper(name)}</th>
            <td data-label="sent">{sent ?? <Nothing />}</td>
            <td data-label="received">
              {received === null ? <Nothing /> : name === "authorization" ? `${received} ••••••••` : received}{" "}
              <span className={sent === null ? "tag" : "tag plain"}>{note}</span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Nothing() {
  return (
    <>
      <span aria-hidden="true">–</span>
      <span className="unseen">nothing</span>
    </>
  );
}

/** A field's name as people write it. */
function proper(name: string): string {
  return name === "x-csrf" ? "X-CSRF" : name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}
