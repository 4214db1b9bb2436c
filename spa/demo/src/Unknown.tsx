import { Link } from "./address.tsx";

/** An address that is none of ours. */
export function Unknown() {
  return (
    <div className="blank">
      <h1 tabIndex={-1}>There is nothing here</h1>
      <p>The address may be mistyped, or what stood here is gone.</p>
      <p>
        <Link className="button" href="/">
          To the overview
        </Link>
      </p>
    </div>
  );
}
