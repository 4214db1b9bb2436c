import { useEffect, useRef } from "react";
import { useAnnounce } from "./Announcer.tsx";
import type { ExportState } from "./export.ts";
import { useExport } from "./Shop.tsx";

/** All orders as a file: how far it is, and where it is. */
export function ExportPage() {
  const exporting = useExport();
  const { status, start, cancel } = exporting;
  const under = status === "running" || status === "waiting";
  const button = useRef<HTMLButtonElement>(null);
  const link = useRef<HTMLAnchorElement>(null);
  const announce = useAnnounce();
  const before = useRef(status);

  useEffect(() => {
    if (before.current !== status && (before.current === "running" || before.current === "waiting")) {
      announce(spoken[status]);
      if (document.activeElement === document.body) {
        (link.current ?? button.current)?.focus(); // where "Cancel" was: it is gone
      }
    }
    before.current = status;
  }, [announce, status]);

  return (
    <div className="column">
      <h1 tabIndex={-1}>Export</h1>
      <p className="fine">
        The API writes all your orders into a file, and tells how far it is over a stream of events. You may look at other pages meanwhile.
      </p>
      <section className="card" aria-label="Export of all orders">
        <div className="row">
          <button ref={button} className={under || status === "ready" ? undefined : "primary"} onClick={() => !under && start()} aria-disabled={under}>
            Export all orders
          </button>
          {under && <button onClick={cancel}>Cancel</button>}
        </div>
        <Progress state={exporting} />
        {status === "ready" && (
          <div className="ready row">
            <p>
              <strong>Your file is ready.</strong> It is kept for ten minutes, for you alone.
            </p>
            {/* No attribute "download": should the session be over, this leads to a page that says so, and from there to the file. */}
            <a ref={link} className="button primary" href={exporting.href}>
              Download
            </a>
          </div>
        )}
        {status === "gone" && <p role="status">The file was kept for ten minutes, and is gone. Export anew whenever you like.</p>}
        {status === "failed" && (
          <p className="bad" role="alert">
            <strong>The export did not work.</strong> You are still signed in, and nothing is lost. Try it again.
          </p>
        )}
      </section>
    </div>
  );
}

const spoken: Record<ExportState["status"], string> = {
  idle: "The export is cancelled.",
  running: "The export goes on.",
  waiting: "The connection broke. The export begins anew as soon as there is one.",
  ready: "The export is ready.",
  gone: "",
  failed: "", // an alert says so
};

function Progress({ state }: { state: ExportState }) {
  if (state.status === "waiting") {
    return (
      <>
        <progress aria-label="Export" />
        <p className="fine">The connection broke. The export begins anew as soon as there is one.</p>
      </>
    );
  }
  if (state.status !== "running") {
    return null;
  }
  return (
    <>
      <progress aria-label="Export" max={state.total} value={state.done} />
      <p className="fine digits">
        {Math.round((100 * state.done) / state.total)} %{state.again && ", begun anew after the connection broke"}
      </p>
    </>
  );
}
