import type { ReactNode } from "react";

interface Props {
  tone: "warn" | "bad";
  title: ReactNode;
  children?: ReactNode;
  actions?: ReactNode;
  quiet?: boolean; // said aloud elsewhere
}

/** A message with a way on. What went wrong interrupts who listens; anything else waits its turn. */
export function Notice({ tone, title, children, actions, quiet = false }: Props) {
  return (
    <section className={`notice ${tone}`} role={quiet ? undefined : tone === "bad" ? "alert" : "status"}>
      <div>
        <strong>{title}</strong>
        {children !== undefined && children !== "" && <p>{children}</p>}
      </div>
      {actions}
    </section>
  );
}
