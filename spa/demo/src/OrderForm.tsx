import { type FormEvent, useEffect, useRef, useState } from "react";
import type { CloakroomError } from "@cloakroom/client";
import { useAnnounce } from "./Announcer.tsx";
import { dropDraft, keepDraft, readDraft } from "./draft.ts";
import { client } from "./gateway.ts";
import { asError, mistakesIn, type Mistakes, type Orders } from "./orders.ts";
import { callFailed, orderFailed } from "./words.ts";

/** What the API asks for is no failure: a sign-in, and then the same once more. */
const stepUp = "insufficient_user_authentication";

/** Places an order. What was typed stays until the API has taken it, also where it wants the user to sign in again first. */
export function OrderForm({ place }: { place: Orders["place"] }) {
  const [kept, setKept] = useState(readDraft);
  const readyToSend = kept !== null;
  const [item, setItem] = useState(kept?.item ?? "");
  const [quantity, setQuantity] = useState(kept?.quantity ?? "1");
  const [mistakes, setMistakes] = useState<Mistakes>({});
  const [failed, setFailed] = useState<CloakroomError | null>(null);
  const [busy, setBusy] = useState(false);
  const itemField = useRef<HTMLInputElement>(null);
  const quantityField = useRef<HTMLInputElement>(null);
  const orderButton = useRef<HTMLButtonElement>(null);
  const announce = useAnnounce();

  useEffect(() => {
    dropDraft();
    if (readyToSend) {
      orderButton.current?.focus();
    }
  }, [readyToSend]);

  const signInAgain = (error: CloakroomError): void => {
    keepDraft({ item, quantity });
    void client.login({ stepUp: error });
  };

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const found = mistakesIn(item, quantity);
    setMistakes(found);
    setFailed(null);
    if (found.item !== undefined || found.quantity !== undefined) {
      (found.item === undefined ? quantityField : itemField).current?.focus();
      return;
    }
    if (busy) {
      return; // a second press of the key is no second order
    }
    setBusy(true);
    setKept(null);
    try {
      const order = await place(item.trim(), Number(quantity));
      announce(`Ordered: ${order.quantity} × ${order.item}.`);
      setItem((now) => (now === item ? "" : now)); // what was typed meanwhile is the next order
      setQuantity((now) => (now === quantity ? "1" : now));
      itemField.current?.focus();
    } catch (error) {
      setFailed(asError(error));
    }
    setBusy(false);
  };

  return (
    <form className="order" onSubmit={submit} noValidate aria-label="New order">
      <Field label="Item" mistake={mistakes.item} id="item">
        <input ref={itemField} value={item} onChange={(e) => setItem(e.target.value)} {...marks("item", mistakes.item)} autoComplete="off" />
      </Field>
      <Field label="Quantity" mistake={mistakes.quantity} id="quantity">
        <input
          ref={quantityField}
          value={quantity}
          onChange={(e) => setQuantity(e.target.value)}
          {...marks("quantity", mistakes.quantity)}
          inputMode="numeric"
          autoComplete="off"
        />
      </Field>
      <button ref={orderButton} className="primary" type="submit" aria-disabled={busy}>
        {busy ? "Ordering…" : "Order"}
      </button>
      {kept !== null && (
        <p className="whole" role="status">
          <strong>Your order is as you left it.</strong> It is not placed yet.
        </p>
      )}
      {failed !== null && (
        <div className={failed.code === stepUp ? "whole row" : "bad whole row"} role="alert">
          <p>
            <strong>{callFailed(failed).title}.</strong> {callFailed(failed).text} {orderFailed(failed)}
          </p>
          {failed.code === stepUp && (
            <button type="button" onClick={() => signInAgain(failed)}>
              Sign in again
            </button>
          )}
        </div>
      )}
    </form>
  );
}

function Field({ label, mistake, id, children }: { label: string; mistake?: string; id: string; children: React.ReactNode }) {
  return (
    <div className={`field ${id}`}>
      <label htmlFor={id}>{label}</label>
      {children}
      {mistake !== undefined && (
        <p className="mistake" id={`${id}-mistake`}>
          {mistake}
        </p>
      )}
    </div>
  );
}

function marks(id: string, mistake: string | undefined) {
  return { id, required: true, "aria-invalid": mistake !== undefined, "aria-describedby": mistake === undefined ? undefined : `${id}-mistake` };
}
