import type { ReactNode } from "react";

/** A message that stands above everything else. `alert` interrupts who listens; use it for what went wrong alone. */
export function Notice({ tone, title, children, actions }: { tone: "info" | "warn" | "bad"; title: string; children: ReactNode; actions?: ReactNode }) {
  return (
    <section className={`notice ${tone}`} role={tone === "bad" ? "alert" : "status"}>
      <div>
        <strong>{title}</strong>
        <p>{children}</p>
      </div>
      {actions}
    </section>
  );
}
