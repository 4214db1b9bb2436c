package static

import (
	"path"
	"strings"
)

// mediaTypes by extension. It is a table of our own: Go's asks the machine, and the same file would be a script on one
// and a download on the next. Text says that it is UTF-8 (ASVS 4.1.1).
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8", ".xhtml": "application/xhtml+xml; charset=utf-8",
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".wasm": "application/wasm", ".json": "application/json", ".map": "application/json", ".geojson": "application/geo+json",
	".webmanifest": "application/manifest+json",

	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
	".avif": "image/avif", ".apng": "image/apng", ".bmp": "image/bmp", ".ico": "image/vnd.microsoft.icon",
	".svg": "image/svg+xml; charset=utf-8", ".jxl": "image/jxl",

	".woff2": "font/woff2", ".woff": "font/woff", ".ttf": "font/ttf", ".otf": "font/otf",

	".mp4": "video/mp4", ".webm": "video/webm", ".ogv": "video/ogg", ".mov": "video/quicktime", ".vtt": "text/vtt; charset=utf-8",
	".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".ogg": "audio/ogg", ".opus": "audio/ogg", ".wav": "audio/wav", ".flac": "audio/flac",

	".txt": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8", ".csv": "text/csv; charset=utf-8",
	".xml": "application/xml; charset=utf-8", ".rss": "application/rss+xml; charset=utf-8", ".atom": "application/atom+xml; charset=utf-8",
	".ics": "text/calendar; charset=utf-8", ".pdf": "application/pdf", ".zip": "application/zip", ".gz": "application/gzip",
	".gltf": "model/gltf+json", ".glb": "model/gltf-binary",
}

// mediaType returns the type of a file. What is not in the table is bytes, which browsers store and never run.
func mediaType(name string) string {
	if t, ok := mediaTypes[strings.ToLower(path.Ext(name))]; ok {
		return t
	}
	return "application/octet-stream"
}

// otherFiles are the extensions of files that are no part of a browser app, but that people download from it, or that
// scanners ask every host for: to be told "200, a page" they would take for a find.
var otherFiles = map[string]bool{
	".doc": true, ".docx": true, ".xls": true, ".xlsx": true, ".ppt": true, ".pptx": true, ".odt": true, ".ods": true,
	".rtf": true, ".epub": true,
	".7z": true, ".bz2": true, ".rar": true, ".tar": true, ".tgz": true, ".xz": true, ".br": true, ".zst": true, ".jar": true, ".war": true,
	".apk": true, ".bin": true, ".deb": true, ".dmg": true, ".exe": true, ".iso": true, ".msi": true, ".pkg": true, ".rpm": true,
	".asp": true, ".aspx": true, ".cgi": true, ".jsp": true, ".php": true, ".sh": true,
	".bak": true, ".cfg": true, ".conf": true, ".env": true, ".ini": true, ".log": true, ".old": true, ".sql": true, ".toml": true,
	".yaml": true, ".yml": true,
	".jsx": true, ".ts": true, ".tsx": true, ".vue": true, ".scss": true,
}

// namesFile reports whether the last segment of a path ends like a file's name. A dot alone makes none: /users/jane.doe and
// /releases/1.2.3 are pages.
func namesFile(name string) bool {
	extension := strings.ToLower(path.Ext(name))
	_, known := mediaTypes[extension]
	return known || otherFiles[extension]
}
