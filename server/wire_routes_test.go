package server_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"cloakroom/server"
	"cloakroom/server/config"
)

// A setting that is not taken over would be accepted, and do nothing: each one of a route changes the route, but for those that
// are read elsewhere.
func TestEverySettingOfARouteIsTakenOver(t *testing.T) {
	takenOver(t, map[string]string{
		"Resource":          "chooses the token, by the route's place",
		"Exchange.Audience": "chooses the token, by the route's place",
		"Exchange.Resource": "chooses the token, by the route's place",
		"Exchange.Scopes":   "chooses the token, by the route's place",
		"Limits":            "are the server's, by the route's place",
		"CAFile":            "is read before, and shared by routes that name the same",
	}, func(rt *config.Route) any { return server.RouteOf(0, rt, nil) })
}

// So it is with the settings of an upstream.
func TestEverySettingOfAnUpstreamIsTakenOver(t *testing.T) {
	takenOver(t, map[string]string{
		"CAFile": "is read after", "CertFile": "is read after, with its key", "KeyFile": "is read after, with its certificate",
	}, func(u *config.Upstream) any { return server.UpstreamOf(u) })
}

// takenOver sets one field of a T after the other, also within its structs, and compares what take makes of it with what it makes
// of nothing. elsewhere are the fields that make no difference, and why they need not.
func takenOver[T any](t *testing.T, elsewhere map[string]string, take func(*T) any) {
	t.Helper()
	nothing := take(new(T))
	left := maps.Clone(elsewhere)
	for _, at := range leaves(reflect.TypeFor[T](), nil) {
		set := new(T)
		name := fill(reflect.ValueOf(set).Elem(), at)
		_, excused := left[name]
		if counts := !reflect.DeepEqual(take(set), nothing); counts == excused {
			t.Errorf("%s makes a difference: %v; it is to be read elsewhere: %v", name, counts, excused)
		}
		delete(left, name)
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		t.Errorf("there is no field %s", name)
	}
}

// leaves are the ways to the exported fields of a struct that are no structs themselves.
func leaves(of reflect.Type, above []int) (all [][]int) {
	for i := range of.NumField() {
		f, at := of.Field(i), append(slices.Clone(above), i)
		switch {
		case !f.IsExported():
		case f.Type.Kind() == reflect.Struct:
			all = append(all, leaves(f.Type, at)...)
		default:
			all = append(all, at)
		}
	}
	return all
}

// fill gives a field a value that is not its zero, and returns its name.
func fill(v reflect.Value, at []int) (name string) {
	for _, i := range at {
		name += "." + v.Type().Field(i).Name
		v = v.Field(i)
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	default: // a number, or this panics
		v.Set(reflect.ValueOf(1).Convert(v.Type()))
	}
	return name[1:]
}
