package httpapi

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"

	"github.com/swaggest/swgui/v5/static"
)

//go:embed docs
var docFiles embed.FS

// docPolicy lets the page load from this server only, whatever is in it.
const docPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// serveDocs adds the contract and a page to browse it. Swagger UI comes from a Go module that
// carries its files, so it is in the binary.
func (a *API) serveDocs() {
	a.Router.Get("/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		doc, err := a.openapi()
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		a.send(w, r, doc)
	})
	a.Router.Get("/docs", a.file(docFiles, "docs/index.html", "text/html; charset=utf-8"))
	a.Router.Get("/docs/start.js", a.file(docFiles, "docs/start.js", "text/javascript; charset=utf-8"))
	a.Router.Get("/docs/swagger-ui-bundle.js", a.file(static.FS, "swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8"))
	a.Router.Get("/docs/swagger-ui.css", a.file(static.FS, "swagger-ui.css.gz", "text/css; charset=utf-8"))
}

// file serves an embedded file; one whose name ends in .gz is sent as it is to clients that
// take gzip, and unpacked for the others.
func (a *API) file(files fs.FS, name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data, err := fs.ReadFile(files, name)
		if err == nil && strings.HasSuffix(name, ".gz") {
			w.Header().Set("Vary", "Accept-Encoding")
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				w.Header().Set("Content-Encoding", "gzip")
			} else {
				data, err = gunzip(data)
			}
		}
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Content-Security-Policy", docPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		a.send(w, r, data)
	}
}

func (a *API) send(w http.ResponseWriter, r *http.Request, data []byte) {
	if _, err := w.Write(data); err != nil {
		a.log.DebugContext(r.Context(), "the client did not take the answer", slog.Any("error", err))
	}
}

func gunzip(data []byte) ([]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(zr)
}
