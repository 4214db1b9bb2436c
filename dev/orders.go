package dev

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	ordersKept   = 1000 // bounds what one subject may leave in memory
	subjectsKept = 1000 // bounds how many may; the one that came first is forgotten

	smallOrder = 10              // pieces: whoever orders more must have signed in lately
	lately     = 5 * time.Minute // so lately: less than a screen is left alone for
)

// Order is one order of the demo.
type Order struct {
	ID       string    `json:"id"`
	Item     string    `json:"item"`
	Quantity int       `json:"quantity"`
	PlacedAt time.Time `json:"placed_at"`
}

// orderBook holds each subject's own orders.
type orderBook struct {
	samples bool // a subject that is new finds some

	mu        sync.Mutex
	bySubject map[string][]Order
	subjects  []string // in the order they came
	last      int
}

func newOrderBook(samples bool) *orderBook {
	return &orderBook{samples: samples, bySubject: map[string][]Order{}}
}

// open makes room for a subject that is new. The caller holds mu.
func (b *orderBook) open(sub string, now time.Time) {
	if _, known := b.bySubject[sub]; known {
		return
	}
	if len(b.subjects) >= subjectsKept {
		delete(b.bySubject, b.subjects[0])
		b.subjects = b.subjects[1:]
	}
	b.subjects = append(b.subjects, sub)
	b.bySubject[sub] = nil
	if !b.samples {
		return
	}
	for i, item := range []string{"Winter coat, charcoal", "Umbrella with a wooden handle", "Felt hat"} {
		b.last++
		b.bySubject[sub] = append(b.bySubject[sub], Order{
			ID: orderID(b.last), Item: item, Quantity: 1, PlacedAt: now.UTC().AddDate(0, 0, i-3), // one a day, up to yesterday
		})
	}
}

func orderID(n int) string { return fmt.Sprintf("ord_%04d", n) }

func (b *orderBook) of(sub string, now time.Time) []Order {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open(sub, now)
	return append([]Order{}, b.bySubject[sub]...) // never nil: an empty list is [] in JSON
}

func (b *orderBook) place(sub string, o Order) (Order, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open(sub, o.PlacedAt)
	if len(b.bySubject[sub]) >= ordersKept {
		return o, false
	}
	b.last++
	o.ID = orderID(b.last)
	b.bySubject[sub] = append(slices.Clip(b.bySubject[sub]), o)
	return o, true
}

func (a *API) listOrders(w http.ResponseWriter, _ *http.Request, c claims) {
	writeJSON(w, http.StatusOK, map[string]any{"orders": a.orders.of(c.Sub, a.now())})
}

func (a *API) placeOrder(w http.ResponseWriter, r *http.Request, c claims) {
	var o Order
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&o) // an order is one line
	if err != nil || o.Item == "" || o.Quantity < 1 {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_order"})
		return
	}
	if o.Quantity > smallOrder && a.now().Sub(time.Unix(c.signIn.authTime, 0)) > lately {
		challengeAge(w, r)
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

// challengeAge says that the user has to sign in again (RFC 9470 section 3), by the scheme that the token came with.
func challengeAge(w http.ResponseWriter, r *http.Request) {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(
		`%s error="insufficient_user_authentication", error_description="A more recent sign-in is required", max_age=%d`,
		scheme, lately/time.Second))
	writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "insufficient_user_authentication"})
}
