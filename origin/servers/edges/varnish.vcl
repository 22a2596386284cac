# Varnish (7.0 or later) as an edge in front of the origin's serve nodes. {{"`origin-storm servers edge varnish`"}} prints it for your
# addresses. Who asks while an answer is on its way gets it as it comes, and lifetimes are kept to the millisecond.
vcl 4.1;

import directors;
import std;
{{range $i, $o := .Backends}}
backend origin{{$i}} {
	.host = "{{$o.Host}}";
	.port = "{{$o.Port}}";
	# Longer than the longest hold, two segments.
	.first_byte_timeout = 15s;
	.between_bytes_timeout = 10s;
}
{{end}}
sub vcl_init {
	new origin = directors.round_robin();
{{- range $i, $o := .Backends}}
	origin.add_backend(origin{{$i}});
{{- end}}
}

sub vcl_recv {
	if (req.url == "/.edge") {
		return (synth(204)); # for health checks: the edge itself, without the origin
	}
	set req.backend_hint = origin.backend();
	# The origin's answers depend on the path alone.
	unset req.http.Cookie;
	if (req.method == "GET" || req.method == "HEAD") {
		return (hash);
	}
	return (pass);
}

sub vcl_backend_response {
	# The origin's own header says to the millisecond how long a 404, 410 or 503 lasts; Cache-Control says it in whole seconds.
	if (beresp.http.Origin-TTL-Ms) {
		set beresp.ttl = std.duration(beresp.http.Origin-TTL-Ms + "ms", 0s);
	}
	# Nothing is served beyond its life: a 404 that has run out must be asked again.
	set beresp.grace = 0s;
	set beresp.keep = 0s;
	if (beresp.ttl <= 0s || beresp.http.Cache-Control ~ "(?i)no-store|no-cache|private") {
		# The built-in rule would let every request for this name through for two minutes: the length of a storm.
		set beresp.uncacheable = true;
		set beresp.ttl = 1s;
	}
	return (deliver);
}

sub vcl_deliver {
	# RFC 9211: who answered, the last member being this cache.
	if (obj.hits > 0) {
		set resp.http.Edge = "varnish; hit";
	} else {
		set resp.http.Edge = "varnish; fwd=miss";
	}
	if (resp.http.Cache-Status) {
		set resp.http.Cache-Status = resp.http.Cache-Status + ", " + resp.http.Edge;
	} else {
		set resp.http.Cache-Status = resp.http.Edge;
	}
	unset resp.http.Edge;
	# It was counted from the origin's answer; Age says how long ago that was in whole seconds only.
	unset resp.http.Origin-TTL-Ms;
}
