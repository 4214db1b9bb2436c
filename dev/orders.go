package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	ordersKept   = 1000 // bounds what one subject may leave in memory
	subjectsKept = 1000 // bounds how many may; the one that came first is forgotten
	itemMost     = 80   // characters: what the demo's form takes, a line to be read
	quantityMost = 999  // the same

	lately = 5 * time.Minute // who takes money back signed in within that: less than a screen is left alone for
)

// What becomes of an order.
const (
	statusPlaced   = "placed"
	statusPacked   = "packed"
	statusShipped  = "shipped"
	statusRefunded = "refunded" // from any of the others, and for good
)

var (
	errNoOrder  = errors.New("no such order of this subject")
	errRefunded = errors.New("order refunded already")
	errTooMany  = errors.New("too many orders")
)

// Order is one order of the demo.
type Order struct {
	ID       string    `json:"id"`
	Item     string    `json:"item"`
	Quantity int       `json:"quantity"`
	PlacedAt time.Time `json:"placed_at"`
	Status   string    `json:"status"` // placed, packed, shipped or refunded
}

// orderBook holds each subject's own orders, and tells who listens what happens to them.
type orderBook struct {
	samples bool // a subject that is new finds some

	mu        sync.Mutex
	bySubject map[string][]Order
	subjects  []string // in the order they came
	last      int
	feeds     map[string]map[*feed]bool // by subject
}

func newOrderBook(samples bool) *orderBook {
	return &orderBook{samples: samples, bySubject: map[string][]Order{}, feeds: map[string]map[*feed]bool{}}
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
	for i, one := range []Order{
		{Item: "Winter coat, charcoal", Status: statusShipped},
		{Item: "Umbrella with a wooden handle", Status: statusRefunded},
		{Item: "Felt hat", Status: statusShipped},
	} {
		b.last++
		one.ID, one.Quantity, one.PlacedAt = orderID(b.last), 1, now.UTC().AddDate(0, 0, i-3) // one a day, up to yesterday
		b.bySubject[sub] = append(b.bySubject[sub], one)
	}
}

func orderID(n int) string { return fmt.Sprintf("ord_%04d", n) }

func (b *orderBook) of(sub string, now time.Time) []Order {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open(sub, now)
	return append([]Order{}, b.bySubject[sub]...) // never nil: an empty list is [] in JSON
}

func (b *orderBook) place(sub string, o Order) (Order, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open(sub, o.PlacedAt)
	if len(b.bySubject[sub]) >= ordersKept {
		return o, errTooMany
	}
	b.last++
	o.ID, o.Status = orderID(b.last), statusPlaced
	b.bySubject[sub] = append(b.bySubject[sub], o)
	b.tell(sub, o)
	return o, nil
}

// refund gives the money for an order back, once: errNoOrder, errRefunded. may is asked for an order that there is something
// to give back for.
func (b *orderBook) refund(sub, id string, may error) (Order, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.bySubject[sub]
	i := slices.IndexFunc(all, func(o Order) bool { return o.ID == id })
	switch {
	case i < 0:
		return Order{}, errNoOrder
	case all[i].Status == statusRefunded:
		return all[i], errRefunded
	case may != nil:
		return all[i], may
	}
	all[i].Status = statusRefunded
	b.tell(sub, all[i])
	return all[i], nil
}

func (a *API) listOrders(w http.ResponseWriter, _ *http.Request, c claims) {
	writeJSON(w, http.StatusOK, map[string]any{"orders": a.orders.of(c.Sub, a.now())})
}

func (a *API) placeOrder(w http.ResponseWriter, r *http.Request, c claims) {
	var wanted struct {
		Item     string `json:"item"`
		Quantity int    `json:"quantity"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&wanted) // an order is one line
	length := utf8.RuneCountInString(wanted.Item)
	if err != nil || length < 1 || length > itemMost || wanted.Quantity < 1 || wanted.Quantity > quantityMost {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_order"})
		return
	}
	placed, err := a.orders.place(c.Sub, Order{Item: wanted.Item, Quantity: wanted.Quantity, PlacedAt: a.now().UTC()})
	if err != nil {
		writeJSON(w, http.StatusConflict, map[string]string{"error": "too_many_orders"})
		return
	}
	w.Header().Set("Location", "/api/orders/"+placed.ID)
	writeJSON(w, http.StatusCreated, placed)
}

// errNotLately says that the user signed in too long ago for what is asked.
var errNotLately = errors.New("sign-in too old")

// refundOrder takes a sign-in of the last minutes. Nobody is sent to sign in for a refund that cannot be.
func (a *API) refundOrder(w http.ResponseWriter, r *http.Request, c claims) {
	var may error
	if a.now().Sub(time.Unix(c.signIn.authTime, 0)) > lately { // a token without auth_time is of 1970
		may = errNotLately
	}
	order, err := a.orders.refund(c.Sub, r.PathValue("id"), may)
	switch {
	case errors.Is(err, errNotLately):
		challengeAge(w, r)
	case errors.Is(err, errRefunded):
		writeJSON(w, http.StatusConflict, map[string]string{"error": "already_refunded"})
	case err != nil:
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "unknown_order"})
	default:
		writeJSON(w, http.StatusOK, order)
	}
}

// challengeAge says that the user has to sign in again (RFC 9470 section 3), by the scheme that the token came with.
func challengeAge(w http.ResponseWriter, r *http.Request) {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(
		`%s error="insufficient_user_authentication", error_description="A more recent sign-in is required", max_age=%d`,
		scheme, lately/time.Second))
	writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "insufficient_user_authentication"})
}
