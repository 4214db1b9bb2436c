package config

// leastRouteHeader is less than a browser sends beside a session cookie: whoever writes less has slipped by a unit.
const leastRouteHeader = 1 << 10

// routeBounds refuses bounds of a route that could never be reached, or never be kept.
func (r *report) routeBounds(path string, route *Route, c *Config) {
	switch most := c.Public.Limits.HeaderBytes; {
	case route.HeaderBytes < leastRouteHeader:
		r.add(join(path, "header_bytes"), "less than a browser sends; write 1KiB or more")
	case most > 0 && route.HeaderBytes > most:
		r.add(join(path, "header_bytes"), "more than public.limits.header_bytes, which is refused before a route is known; raise that "+
			"one, or write at most %s", most)
	}
	if route.Concurrent < 0 {
		r.add(join(path, "concurrent"), "negative; write 0 for no limit")
	}
}
