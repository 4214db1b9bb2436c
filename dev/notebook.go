package dev

import (
	"slices"
	"sync"
	"time"
)

const (
	notesKept  = 100  // bounds what one subject may leave in memory; the oldest goes
	visitsKept = 1000 // bounds how many sessions there are; the one that came first is forgotten
)

// note is one note.
type note struct {
	Title, Text string
	At          time.Time
}

// noteBook holds each subject's own notes.
type noteBook struct {
	mu       sync.Mutex
	of       map[string][]note
	subjects []string // in the order they came
}

// list returns a subject's notes, the newest first.
func (b *noteBook) list(sub string) []note {
	b.mu.Lock()
	defer b.mu.Unlock()
	notes := slices.Clone(b.of[sub])
	slices.Reverse(notes)
	return notes
}

func (b *noteBook) add(sub string, n note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.of[sub]; !known {
		if len(b.subjects) >= subjectsKept {
			delete(b.of, b.subjects[0])
			b.subjects = b.subjects[1:]
		}
		b.subjects = append(b.subjects, sub)
	}
	notes := append(b.of[sub], n)
	b.of[sub] = notes[max(0, len(notes)-notesKept):]
}

// visit is a session of the notes' own, in one browser: it outlives sign-ins of the same user, and no other's.
type visit struct {
	id, sub, token string
	fresh          bool   // it has just begun
	name           string // what the user is called
}

type visits struct {
	mu    sync.Mutex
	of    map[string]visit
	order []string
}

// find returns the session of that name if it is this subject's, or a new one.
func (s *visits) find(id, sub string) visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, known := s.of[id]; known && v.sub == sub {
		return v
	}
	if len(s.order) >= visitsKept {
		delete(s.of, s.order[0])
		s.order = s.order[1:]
	}
	v := visit{id: newToken(), sub: sub, token: newToken()}
	s.of[v.id] = v
	s.order = append(s.order, v.id)
	v.fresh = true
	return v
}
