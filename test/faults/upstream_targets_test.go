//go:build integration

package faults_test

import (
	"fmt"
	"testing"
	"time"
)

// answersTo are what a POST may get where a target hangs, one refuses and one cuts its answers: it is never sent again once a
// byte may have left.
var answersTo = []string{"200", "cut", "504 upstream_timeout", "502 upstream_unavailable"}

// Of four targets one hangs, one refuses and one dies in the middle of each answer: nobody who asks safely notices. Then the
// good one is gone too, and the dying one cuts every other answer.
func TestUpstreamTargets(t *testing.T) {
	alongside(t) // shows PRX-LIMIT
	hung, dying, good := newUpTarget(t, hangsOn), newUpTarget(t, cutsAll), newUpTarget(t, serves)
	u := newUpWorld(t, unusedPort(t), hung, dying, good)

	all := u.load("three faults", sized(4*time.Second, time.Minute), nil)
	u.only(all, false, "200")
	u.only(all, true, answersTo...)
	if hung.total() == 0 || dying.total() == 0 || count(all, true, "200") == 0 {
		t.Errorf("%d requests at the hung target, %d at the dying one, %d POSTs answered", hung.total(), dying.total(), count(all, true, "200"))
	}
	for _, why := range []string{"unsent", "timeout", "cut"} {
		if u.in.Metric(fmt.Sprintf("bff_upstream_retries_total{why=%q}", why)) == 0 {
			t.Errorf("nothing was sent again for %q", why)
		}
	}
	for _, bad := range []*upTarget{hung, dying} {
		if u.in.Metric(fmt.Sprintf("bff_upstream_target_out_total{target=%q,why=%q}", bad.addr, "failures")) == 0 {
			t.Errorf("target %s was never left alone", bad.addr)
		}
	}
	if up := u.in.Metric(fmt.Sprintf("bff_upstream_target_up{target=%q}", good.addr)); up != 1 {
		t.Errorf("the good target is %v", up)
	}

	good.kill()
	dying.way.Store(cutsHalf)
	all = u.load("no good one", sized(4*time.Second, time.Minute), nil)
	u.only(all, false, "200", "502 upstream_unavailable", "504 upstream_timeout") // never half an answer
	u.only(all, true, answersTo...)
	if count(all, false, "200") == 0 {
		t.Error("not one GET was answered")
	}
}

// One of three good targets is killed under load and started again: safe requests never notice, and it gets its part again.
func TestUpstreamTargetDies(t *testing.T) {
	alongside(t) // shows PRX-LIMIT
	a, b, c := newUpTarget(t, serves), newUpTarget(t, serves), newUpTarget(t, serves)
	u := newUpWorld(t, "", a, b, c)
	part := sized(time.Second, 20*time.Second)
	all := u.load("one dies", 3*part, func() {
		<-time.After(part) // how long each state lasts is what the test is about
		b.kill()
		u.in.AwaitMetric(fmt.Sprintf("bff_upstream_target_out_total{target=%q}", b.addr), 1)
		<-time.After(part)
		b.start(t)
	})
	u.only(all, false, "200")
	u.only(all, true, "200", "cut", "502 upstream_unavailable")
	if n := len(all) - count(all, false, "200") - count(all, true, "200"); n > 40 {
		t.Errorf("%d POSTs failed; no more than one for each worker was on its way when the target died", n)
	}
	before := b.total()
	all = u.load("all are back", part, nil)
	u.only(all, false, "200")
	u.only(all, true, "200")
	if again := b.total() - before; again < len(all)/10 {
		t.Errorf("the target that came back got %d of %d requests", again, len(all))
	}
}

// When every target breaks off, that is found out by a few: the rest are refused at once, with a time to come back, and the
// dead API hears little of it.
func TestUpstreamAllGone(t *testing.T) {
	alongside(t) // shows PRX-LIMIT
	targets := []*upTarget{newUpTarget(t, breaksFirst), newUpTarget(t, breaksFirst), newUpTarget(t, breaksFirst)}
	u := newUpWorld(t, "", targets...)
	all := u.load("all gone", sized(3*time.Second, time.Minute), nil)
	u.only(all, false, "502 upstream_unavailable")
	u.only(all, true, "502 upstream_unavailable")
	attempts, hinted := 0, 0
	for _, target := range targets {
		attempts += target.total()
	}
	for _, a := range all {
		if a.retry {
			hinted++
		}
		if a.took > 10*time.Second {
			t.Errorf("%s: refused after %v", a.id, a.took)
		}
	}
	t.Logf("%d requests made %d attempts, %d were told when to come back", len(all), attempts, hinted)
	if float64(attempts) > 1.2*float64(len(all)) || hinted < len(all)/2 {
		t.Errorf("%d requests made %d attempts, %d were told when to come back", len(all), attempts, hinted)
	}
	for _, target := range targets {
		target.way.Store(serves)
	}
	await(t, "the API answers again", healTime, func() bool { return u.do(false, "again").what == "200" })
}
