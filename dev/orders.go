package dev

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// ordersKept bounds what one subject may leave in memory.
const ordersKept = 1000

// Order is one order of the demo.
type Order struct {
	ID       string    `json:"id"`
	Item     string    `json:"item"`
	Quantity int       `json:"quantity"`
	PlacedAt time.Time `json:"placed_at"`
}

// orderBook holds each subject's own orders.
type orderBook struct {
	mu        sync.Mutex
	bySubject map[string][]Order
	last      int
}

func (b *orderBook) of(sub string) []Order {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Order{}, b.bySubject[sub]...) // never nil: an empty list is [] in JSON
}

func (b *orderBook) place(sub string, o Order) (Order, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.bySubject[sub]) >= ordersKept {
		return o, false
	}
	b.last++
	o.ID = fmt.Sprintf("ord_%04d", b.last)
	b.bySubject[sub] = append(slices.Clip(b.bySubject[sub]), o)
	return o, true
}

func (a *API) listOrders(w http.ResponseWriter, _ *http.Request, c claims) {
	writeJSON(w, http.StatusOK, map[string]any{"orders": a.orders.of(c.Sub)})
}

func (a *API) placeOrder(w http.ResponseWriter, r *http.Request, c claims) {
	var o Order
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&o) // an order is one line
	if err != nil || o.Item == "" || o.Quantity < 1 {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_order"})
		return
	}
	o.PlacedAt = a.now().UTC()
	placed, ok := a.orders.place(c.Sub, o)
	if !ok {
		writeJSON(w, http.StatusConflict, map[string]string{"error": "too_many_orders"})
		return
	}
	w.Header().Set("Location", "/api/orders/"+placed.ID)
	writeJSON(w, http.StatusCreated, placed)
}
