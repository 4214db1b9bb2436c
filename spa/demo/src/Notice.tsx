import type { ReactNode } from "react";

interface Props {
  tone: "info" | "warn" | "bad";
  title: string;
  children: ReactNode;
  actions?: ReactNode;
  quiet?: boolean; // said aloud elsewhere
}

/** A message that stands above everything else. `alert` interrupts who listens; use it for what went wrong alone. */
export function Notice({ tone, title, children, actions, quiet = false }: Props) {
  return (
    <section className={`notice ${tone}`} role={quiet ? undefined : tone === "bad" ? "alert" : "status"}>
      <div>
        <strong>{title}</strong>
        <p>{children}</p>
      </div>
      {actions}
    </section>
  );
}
