import { type FormEvent, useRef, useState } from "react";
import { useAnnounce } from "./Announcer.tsx";
import { mistakesIn, type Mistakes } from "./orders.ts";
import { usePlacing } from "./Shop.tsx";
import { callFailed, orderFailed, sentence } from "./words.ts";

/** Places an order. It is in the list at once; what was typed stays until the API has taken it. */
export function OrderForm() {
  const [item, setItem] = useState("");
  const [quantity, setQuantity] = useState("1");
  const [mistakes, setMistakes] = useState<Mistakes>({});
  const [failed, setFailed] = useState<unknown>(null);
  const itemField = useRef<HTMLInputElement>(null);
  const quantityField = useRef<HTMLInputElement>(null);
  const { mutateAsync: place, isPending: busy } = usePlacing();
  const announce = useAnnounce();

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const found = mistakesIn(item, quantity);
    setMistakes(found);
    if (found.item !== undefined || found.quantity !== undefined) {
      (found.item === undefined ? quantityField : itemField).current?.focus();
      return;
    }
    if (busy) {
      return; // a second press of the key is no second order
    }
    setFailed(null);
    try {
      const order = await place({ item: item.trim(), quantity: Number(quantity) });
      announce(`Ordered: ${order.quantity} × ${order.item}.`);
      setItem((now) => (now === item ? "" : now)); // what was typed meanwhile is the next order
      setQuantity((now) => (now === quantity ? "1" : now));
      itemField.current?.focus();
    } catch (error) {
      setFailed(error);
    }
  };

  return (
    <form className="order" onSubmit={(event) => void submit(event)} noValidate aria-label="New order">
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
        Order
      </button>
      {failed !== null && (
        <p className="bad whole" role="alert">
          <strong>{sentence(callFailed(failed).title)}</strong> {callFailed(failed).text} {orderFailed(failed)}
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
