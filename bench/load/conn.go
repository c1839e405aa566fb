package load

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answerWithin bounds the wait for an answer.
const answerWithin = 30 * time.Second

// maxAnswer bounds the body of an answer, in bytes.
const maxAnswer = 16 << 20

// products are what the orders are for; all names have the same length, so that requests do.
var products = [...]string{"TEA-001", "TEA-002", "POT-001", "CUP-001", "BOOK-01"}

// Target is a server, and what is ordered from it.
type Target struct {
	Addr   string // host:port
	Lines  int    // of each order, each of another product: 1 to 5; 1 if 0
	Method string // of payment; sandbox_approve if empty
}

// body is the order of the API's documentation, by one of 10,000 customers.
func (t Target) body() string {
	var lines []string
	for i := range max(1, t.Lines) {
		lines = append(lines, fmt.Sprintf(`{"sku": %q, "quantity": 2}`, products[i]))
	}
	return `{"customer_id": "c-00000", "email": "ada@example.com", "currency": "EUR", "lines": [` + strings.Join(lines, ", ") + `], ` +
		`"ship_to": {"name": "Ada Lovelace", "street": "12 St James Square", "postal_code": "SW1Y 4JH", "city": "London", "country": "GB"}, ` +
		`"delivery": "standard", "payment": {"method": "` + cmp.Or(t.Method, "sandbox_approve") + `"}}`
}

// conn is one keep-alive connection. Of answers only what is needed is looked at. It is for
// one goroutine.
type conn struct {
	net.Conn
	in     *bufio.Reader
	chunks []byte // a body that came in chunks
}

func open(addr string) (conn, error) {
	c, err := net.DialTimeout("tcp", addr, answerWithin)
	if err != nil {
		return conn{}, err
	}
	return conn{Conn: c, in: bufio.NewReaderSize(c, 4096)}, nil
}

// send sends a request and reads its answer. The body is there until the next request.
func (c *conn) send(request []byte) (body []byte, status int, err error) {
	if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return nil, 0, err
	}
	if _, err := c.Write(request); err != nil {
		return nil, 0, err
	}
	return c.answer()
}

// post is a request as it is sent.
func post(addr, path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, addr, len(body), body)
}

// orderer is a connection that orders are placed on: the request is made once and changed
// in place.
type orderer struct {
	conn
	request  []byte
	customer []byte   // of request: five digits
	products [][]byte // of request
	n        int
}

// dial connects to a server. Connections begin at different customers and products.
func dial(t Target, begin int) (*orderer, error) {
	c, err := open(t.Addr)
	if err != nil {
		return nil, err
	}
	o := &orderer{conn: c, request: post(t.Addr, "/v1/orders", t.body()), n: begin}
	at := func(s string, n int) []byte {
		i := bytes.Index(o.request, []byte(s))
		return o.request[i : i+n : i+n]
	}
	o.customer = at("00000", 5)
	for i := range max(1, t.Lines) {
		o.products = append(o.products, at(products[i], len(products[i])))
	}
	return o, nil
}

// place sends one order and reads the answer: the order's id, if the status is 202.
func (o *orderer) place() (id ID, status int, err error) {
	o.n++
	for i, n := len(o.customer)-1, o.n%10_000; i >= 0; i, n = i-1, n/10 {
		o.customer[i] = byte('0' + n%10)
	}
	for i, p := range o.products {
		copy(p, products[(o.n+i)%len(products)])
	}
	body, status, err := o.send(o.request)
	if err == nil && status == http.StatusAccepted {
		i := bytes.Index(body, idMember)
		if i < 0 || id.parse(body[i+len(idMember):]) != nil {
			return id, 0, fmt.Errorf("an answer without the order's id: %s", body)
		}
	}
	return id, status, err
}

var (
	contentLength = []byte("Content-Length: ")
	chunked       = []byte("Transfer-Encoding: chunked")
	// The resource's id comes before or after its type; the command's has another name.
	idMember = []byte(`"id":"`)
)

// answer reads one answer.
func (c *conn) answer() (body []byte, status int, err error) {
	length, inChunks := -1, false
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return nil, 0, fmt.Errorf("read the answer: %w", err)
		}
		switch {
		case first:
			if len(line) < 12 {
				return nil, 0, fmt.Errorf("%q is no answer", line)
			}
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return nil, 0, fmt.Errorf("%q is no answer: %w", line, err)
			}
			continue
		case bytes.HasPrefix(line, chunked):
			inChunks = true
			continue
		case bytes.HasPrefix(line, contentLength):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil {
				return nil, 0, fmt.Errorf("length of the answer: %w", err)
			}
			continue
		case len(line) > 2:
			continue
		}
		break
	}
	if inChunks {
		body, err = c.inChunks()
		return body, status, err
	}
	if length < 0 || length > maxAnswer {
		return nil, 0, fmt.Errorf("an answer of %d bytes", length)
	}
	if length > c.in.Size() {
		c.chunks = slices.Grow(c.chunks[:0], length)[:length]
		_, err = io.ReadFull(c.in, c.chunks)
		return c.chunks, status, err
	}
	body, err = c.in.Peek(length)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, fmt.Errorf("read the answer: %w", err)
	}
	_, err = c.in.Discard(length) // what was peeked stays in the buffer until the next read
	return body, status, err
}

// inChunks reads a body that comes in chunks, each behind its length.
func (c *conn) inChunks() ([]byte, error) {
	c.chunks = c.chunks[:0]
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		length, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		from := len(c.chunks)
		if err != nil || from+int(length) > maxAnswer {
			return nil, fmt.Errorf("%q is no length of a chunk behind %d bytes", line, from)
		}
		c.chunks = slices.Grow(c.chunks, int(length))[:from+int(length)]
		if _, err := io.ReadFull(c.in, c.chunks[from:]); err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		if _, err := c.in.Discard(len("\r\n")); err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		if length == 0 {
			return c.chunks, nil
		}
	}
}

// ID is an order's id, a UUID.
type ID [16]byte

// parse reads the 36 characters that a text begins with.
func (id *ID) parse(text []byte) error {
	if len(text) < 36 {
		return fmt.Errorf("%q is no id", text)
	}
	var digits [32]byte
	n := 0
	for _, part := range [...][2]int{{0, 8}, {9, 13}, {14, 18}, {19, 23}, {24, 36}} {
		n += copy(digits[n:], text[part[0]:part[1]])
	}
	_, err := hex.Decode(id[:], digits[:])
	return err
}

// ParseID reads an id from the end of a text, such as a stream's name.
func ParseID(text string) (id ID, err error) {
	if len(text) < 36 {
		return id, fmt.Errorf("%q has no id", text)
	}
	err = id.parse([]byte(text[len(text)-36:]))
	return id, err
}
