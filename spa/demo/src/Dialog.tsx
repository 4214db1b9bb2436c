import { type ReactNode, useId, useLayoutEffect, useRef } from "react";

interface Props {
  title: ReactNode;
  children: ReactNode;
  /** It was closed by its user: by Escape, or as a phone goes back. The caller renders it no more. */
  onClose: () => void;
}

/**
 * A modal dialog for as long as it is rendered. It is the browser's own: the focus goes into it, to its first button, stays in it,
 * and goes back to where it was.
 */
export function Dialog({ title, children, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useLayoutEffect(() => {
    const mine = dialog.current!;
    mine.showModal();
    return () => mine.close(); // while it is still in the page: only then the focus goes back
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={heading} onClose={() => dialog.current?.open === false && onClose()}>
      <h2 id={heading}>{title}</h2>
      {children}
    </dialog>
  );
}
