package storefront

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/orderlane/orderlane/pkg/projection"
)

// Classes of words, by where in a product they stand. Each word of the index begins with the
// letter of its class; a word that stands in several places is in the first class only, since
// the ranking asks for a class together with those before it.
const (
	inName        = "a"
	inGroup       = "b" // category and SKU
	inAttributes  = "c"
	inDescription = "d"
)

const (
	// maxWords bounds the words of a product that can be searched for: a description of
	// full length has about a thousand.
	maxWords = 2000

	// maxNameWords is the longest name that the ranking tells from longer ones, in words.
	maxNameWords = 255
)

// indexTable is the full-text index on SQLite. PostgreSQL has it in the table of products.
var indexTable = projection.TableName(viewName, viewVersion, "words")

// columns are those of a product beside its document.
//
// id is what the full-text index of SQLite knows the product by, which takes integers only. It is derived
// from the key and not counted, so that the same events always make the same rows. Two keys
// with one id (of catalogs with a million products, one in some ten million has such a pair) break the later key.
var columns = []projection.Column{
	{Name: "id", Kind: projection.Int},
	{Name: "category", Kind: projection.Text},
	{Name: "on_sale", Kind: projection.Bool},
	{Name: "name_words", Kind: projection.Int},
	{Name: "words", Kind: projection.Text},
}

func (p *product) columns(row []any, key string) []any {
	id := sha256.Sum256([]byte(key))
	text, nameWords := p.words()
	return append(row, int64(binary.BigEndian.Uint64(id[:8])>>1), p.Details.Category, p.OnSale, nameWords, text)
}

// words are what the product can be found by, with spaces between, and how many the name has.
// A product that is not on sale can't be found.
func (p *product) words() (text string, nameWords int) {
	if !p.OnSale {
		return "", 0
	}
	words(p.Details.Name, false, func(string) { nameWords++ })
	seen := make(map[string]bool)
	var b strings.Builder
	add := func(class, text string) {
		words(text, true, func(word string) {
			if seen[word] || len(seen) == maxWords {
				return
			}
			seen[word] = true
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(class + word)
		})
	}
	add(inName, p.Details.Name)
	add(inGroup, p.Details.Category)
	add(inGroup, p.SKU)
	for _, name := range slices.Sorted(maps.Keys(p.Details.Attributes)) {
		add(inAttributes, p.Details.Attributes[name])
	}
	add(inDescription, p.Details.Description)
	return b.String(), min(nameWords, maxNameWords)
}

// indexSchema makes the full-text index of the words of products, which the database keeps
// in the transactions that write products: a price that changes does not touch it, and what
// View.Forget deletes is gone from it too.
func indexSchema(d projection.Dialect) []string {
	if d == projection.Postgres {
		return []string{
			// SKUs in the order of their bytes, as on SQLite. Stock is joined by an index, so it must be in the same.
			fmt.Sprintf(`ALTER TABLE %s ALTER COLUMN key TYPE TEXT COLLATE "C"`, productsTable),
			fmt.Sprintf(`ALTER TABLE %s ALTER COLUMN key TYPE TEXT COLLATE "C"`, stockTable),
			// The words are taken as they are: they have been found and folded already.
			fmt.Sprintf("ALTER TABLE %s ADD COLUMN lexemes TSVECTOR GENERATED ALWAYS AS (array_to_tsvector(string_to_array(words, ' '))) STORED", productsTable),
			// What is not in its place in the index yet is short, in kB: each query reads all of it.
			fmt.Sprintf("CREATE INDEX %[1]s_lexemes ON %[1]s USING gin (lexemes) WITH (gin_pending_list_limit = 512)", productsTable),
			// A product with another price finds room in its page, and all indexes stay as they are.
			fmt.Sprintf("ALTER TABLE %s SET (fillfactor = 80)", productsTable),
		}
	}
	const (
		insert = "INSERT INTO %[2]s (rowid, words) SELECT new.id, new.words WHERE new.words <> ''"
		remove = "DELETE FROM %[2]s WHERE rowid = old.id"
		unlike = "SELECT RAISE(ABORT, 'another product has this id') FROM %[1]s WHERE id = new.id AND key <> new.key"
	)
	statements := []string{
		// All that a search looks at, without the documents.
		"CREATE INDEX %[1]s_found ON %[1]s (id, key, category, name_words)",
		// It holds the index alone (contentless), and of that which words a product has, but not where. The
		// tokenizer splits at spaces, which is all that is left to do. prefix makes the first two
		// letters of words, and three (the class is one more), as quick as whole words.
		"CREATE VIRTUAL TABLE %[2]s USING fts5(words, content='', contentless_delete=1, detail=none, tokenize='ascii', prefix='3 4')",
		"CREATE TRIGGER %[1]s_made AFTER INSERT ON %[1]s BEGIN " + unlike + "; " + insert + "; END",
		"CREATE TRIGGER %[1]s_changed AFTER UPDATE ON %[1]s WHEN new.words <> old.words BEGIN " + remove + "; " + insert + "; END",
		"CREATE TRIGGER %[1]s_gone AFTER DELETE ON %[1]s BEGIN " + remove + "; END",
	}
	for i := range statements {
		statements[i] = fmt.Sprintf(statements[i], productsTable, indexTable)
	}
	return statements
}
