import { type FormEvent, useRef, useState } from "react";
import type { CloakroomError } from "../../client/src/index.ts";
import { useAnnounce } from "./Announcer.tsx";
import { asError, mistakesIn, type Mistakes, type Orders } from "./orders.ts";
import { callFailed, orderFailed } from "./words.ts";

/** Places an order. What was typed stays until the API has taken it. */
export function OrderForm({ place }: { place: Orders["place"] }) {
  const [item, setItem] = useState("");
  const [quantity, setQuantity] = useState("1");
  const [mistakes, setMistakes] = useState<Mistakes>({});
  const [failed, setFailed] = useState<CloakroomError | null>(null);
  const [busy, setBusy] = useState(false);
  const itemField = useRef<HTMLInputElement>(null);
  const quantityField = useRef<HTMLInputElement>(null);
  const announce = useAnnounce();

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
      <button className="primary" type="submit" aria-disabled={busy}>
        {busy ? "Ordering…" : "Order"}
      </button>
      {failed !== null && (
        <p className="bad whole" role="alert">
          <strong>{callFailed(failed).title}.</strong> {callFailed(failed).text} {orderFailed(failed)}
        </p>
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
