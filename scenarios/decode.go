package scenarios

import (
	"bytes"
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"

	"origin-storm/origin/cost"
	"origin-storm/origin/document"
)

// Parse reads a scenario from src, which file names in errors, applies overrides such as readers.edges=80, fills in what
// was left out, and checks everything. Its errors are of type *Error, joined.
func Parse(file string, src []byte, set ...string) (Scenario, error) {
	s := Default()
	audience, deployment := DefaultAudience(), DefaultDeployment()
	s.Audience, s.Deployment = &audience, &deployment
	if len(src) > maxFile {
		return s, &Error{File: file, Msg: fmt.Sprintf("too many bytes for a scenario, at most %d", maxFile)}
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff")) // the byte order mark that some editors put first
	d := &decoder{lines: strings.Split(string(src), "\n"), at: map[string]place{}, file: file}
	if doc := d.parse(src); doc != nil {
		d.value("", doc, reflect.ValueOf(&s).Elem())
	}
	for _, o := range set {
		d.override(&s, o)
	}
	for i := range s.Backends {
		b := s.Backends[i].fill()
		if b.Origin != nil {
			b.Origin.Serve = cmp.Or(b.Origin.Serve, s.Origin.Serve)
		}
		s.Backends[i] = b
	}
	if !d.given("audience") {
		s.Audience = nil
	}
	if !d.given("deployment") {
		s.Deployment = nil
	}
	s.reached(d.given)
	if len(d.errs) == 0 { // else what could not be read would be reported twice
		for _, e := range s.problems() {
			d.fail(d.find(e.Field), e.Field, e.Hint, "%s", e.Msg)
		}
	}
	return s, errors.Join(d.errs...)
}

// What is larger is no scenario: the parser's time grows with the square of a mapping's fields.
const maxFile = 256 << 10

// decoder fills Go values from YAML. It takes goccy's syntax tree but not its decoder, which turns 40.7 and "40" into 40
// without a word, names one unknown field at random, and forgets where a value that would not parse stood.
type decoder struct {
	file  string
	lines []string
	at    map[string]place // where each field stands
	errs  []error
}

// parse returns the one document of src, or nil if there is none or it is no YAML.
func (d *decoder) parse(src []byte) ast.Node {
	tokens := lexer.Tokenize(string(src))
	if tk := document.TooDeep(tokens); tk != nil {
		at := place{file: d.file}
		if d.lines != nil {
			at.line, at.column = tk.Position.Line, tk.Position.Column
		}
		d.fail(at, "", "", "lists and mappings stand within one another, more than %d deep", document.Deepest)
		return nil
	}
	f, err := parser.Parse(tokens, 0)
	if err != nil {
		at := place{file: d.file}
		msg := err.Error()
		var e yaml.Error
		if errors.As(err, &e) {
			msg = e.GetMessage()
			if tk := e.GetToken(); d.lines != nil && tk != nil && tk.Position != nil {
				at.line, at.column = tk.Position.Line, tk.Position.Column
			}
		}
		d.fail(at, "", "", "not YAML: %s", msg)
		return nil
	}
	var docs []ast.Node
	for _, doc := range f.Docs {
		if doc.Body != nil {
			docs = append(docs, doc.Body)
		}
	}
	switch len(docs) {
	case 0:
		d.fail(place{file: d.file}, "", "at least a name is needed", "the scenario is empty")
		return nil
	case 1:
		return docs[0]
	}
	d.fail(d.node(docs[1]), "", "give each its own file", "a second document: a file holds one scenario")
	return nil
}

func (d *decoder) fail(at place, field, hint, format string, args ...any) {
	e := &Error{File: at.file, Line: at.line, Column: at.column, Field: field, Msg: fmt.Sprintf(format, args...), Hint: hint}
	if at.file == d.file {
		e.Excerpt = excerpt(d.lines, at)
	}
	d.errs = append(d.errs, e)
}

// node is where n stands.
func (d *decoder) node(n ast.Node) place {
	if m, ok := n.(ast.MapNode); ok { // a block mapping's own token is its first colon
		if it := m.MapRange(); it.Next() {
			n = it.Key()
		}
	}
	p := place{file: d.file}
	if tk := n.GetToken(); d.lines != nil && tk != nil && tk.Position != nil { // an override has no lines to speak of
		p.line, p.column = tk.Position.Line, tk.Position.Column
	}
	return p
}

// find is where field stands, or else what holds it.
func (d *decoder) find(field string) place {
	for {
		if p, ok := d.at[field]; ok {
			return p
		}
		i := strings.LastIndexAny(field, ".[")
		if i < 0 {
			return place{file: d.file}
		}
		field = field[:i]
	}
}

// given reports whether field, or anything in it, was mentioned.
func (d *decoder) given(field string) bool {
	for f := range d.at {
		if f == field || strings.HasPrefix(f, field+".") {
			return true
		}
	}
	return false
}

// union is a value that YAML may write in several ways.
type union interface {
	decode(d *decoder, field string, n ast.Node)
}

// value decodes n into v. An empty value leaves v as it is.
func (d *decoder) value(field string, n ast.Node, v reflect.Value) {
	switch n.(type) {
	case *ast.NullNode:
		return
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.fail(d.node(n), field, "write the value out", "anchors, aliases and tags have no place in a scenario")
		return
	}
	if _, ok := d.at[field]; !ok && field != "" {
		d.at[field] = d.node(n)
	}
	switch p := v.Addr().Interface().(type) {
	case union:
		p.decode(d, field, n)
		return
	case encoding.TextUnmarshaler:
		if text, ok := d.scalar(field, n, "a value"); ok {
			if err := p.UnmarshalText([]byte(text)); err != nil {
				d.fail(d.node(n), field, "", "%s", strings.TrimPrefix(err.Error(), "cost: "))
			}
		}
		return
	case *time.Duration:
		if text, ok := d.scalar(field, n, "a duration"); ok {
			t, err := parseDuration(text)
			if err != nil {
				d.fail(d.node(n), field, "", "%s", err)
			}
			*p = t
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(field, n, v)
	case reflect.Slice:
		seq, ok := n.(ast.ArrayNode)
		if !ok {
			d.fail(d.node(n), field, "", "want a list, got %s", describe(n))
			return
		}
		v.SetZero()
		for it := seq.ArrayRange(); it.Next(); {
			v.Grow(1)
			v.SetLen(v.Len() + 1)
			v.Index(v.Len() - 1).SetZero()
			d.value(fmt.Sprintf("%s[%d]", field, v.Len()-1), it.Value(), v.Index(v.Len()-1))
		}
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(field, n, v.Elem())
	case reflect.String:
		if text, ok := d.scalar(field, n, "text"); ok {
			if err := document.CheckText(text); err != nil {
				d.fail(d.node(n), field, "", "%v", err)
			}
			v.SetString(text)
		}
	case reflect.Int:
		if text, ok := d.scalar(field, n, "a whole number"); ok {
			i, err := strconv.Atoi(text)
			if err != nil {
				d.fail(d.node(n), field, "", "%q is not a whole number", text)
			}
			v.SetInt(int64(i))
		}
	case reflect.Float64:
		if text, ok := d.scalar(field, n, "a number"); ok {
			f, err := strconv.ParseFloat(text, 64)
			if err != nil || f-f != 0 { // infinite or not a number
				d.fail(d.node(n), field, "", "%q is not a number", text)
				f = 0
			}
			v.SetFloat(f)
		}
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.fail(d.node(n), field, "", "want true or false, got %s", describe(n))
			return
		}
		v.SetBool(b.Value)
	default:
		panic(fmt.Sprintf("scenarios: no way to decode a %s", v.Type()))
	}
}

// scalar returns the text of n.
func (d *decoder) scalar(field string, n ast.Node, want string) (string, bool) {
	switch n := n.(type) {
	case *ast.LiteralNode:
		return n.Value.Value, true
	case ast.ScalarNode:
		return n.GetToken().Value, true
	}
	d.fail(d.node(n), field, "", "want %s, got %s", want, describe(n))
	return "", false
}

func describe(n ast.Node) string {
	switch n := n.(type) {
	case ast.MapNode:
		return "a mapping"
	case ast.ArrayNode:
		return "a list"
	case ast.ScalarNode:
		return strconv.Quote(n.GetToken().Value)
	}
	return n.Type().String()
}

// mapping decodes n into the struct v, whose fields keep what n does not mention.
func (d *decoder) mapping(field string, n ast.Node, v reflect.Value) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.fail(d.node(n), field, "fields: "+strings.Join(fieldNames(v.Type()), ", "), "want a mapping, got %s", describe(n))
		return
	}
	for it := m.MapRange(); it.Next(); {
		key := it.Key().GetToken().Value
		at := d.node(it.Key())
		name := join(field, key)
		f, ok := fieldByName(v, key)
		if !ok {
			d.fail(at, name, hint(key, fieldNames(v.Type())), "unknown field")
			continue
		}
		d.at[name] = at
		d.value(name, it.Value(), f)
	}
}

func join(field, key string) string {
	if field == "" {
		return key
	}
	return field + "." + key
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if name := tag(t.Field(i)); name != "-" {
			names = append(names, name)
		}
	}
	return names
}

func fieldByName(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if name != "-" && tag(v.Type().Field(i)) == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func tag(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

// override applies one path=value to s.
func (d *decoder) override(s *Scenario, set string) {
	file := "--set " + set
	at := place{file: file}
	path, text, ok := strings.Cut(set, "=")
	if !ok || path == "" || strings.TrimSpace(text) == "" {
		d.fail(at, "", "", "want path=value, such as readers.edges=80")
		return
	}
	v, field := reflect.ValueOf(s).Elem(), ""
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		_, alternative := v.Addr().Interface().(union)
		n, err := strconv.Atoi(step)
		switch {
		case v.Kind() == reflect.Struct:
			f, ok := fieldByName(v, step)
			if !ok && alternative { // faults[0].kill: a field that only the value knows
				text = fmt.Sprintf("{%s: %s}", step, text)
				break
			}
			field = join(field, step)
			if !ok {
				d.fail(at, field, hint(step, fieldNames(v.Type())), "unknown field")
				return
			}
			v = f
		case alternative && err != nil: // renditions.count: a field of the form that the value does not have now
			text = fmt.Sprintf("{%s: %s}", step, text)
		case v.Kind() == reflect.Slice:
			field = fmt.Sprintf("%s[%s]", field, step)
			if err != nil || n < 0 || n >= v.Len() {
				d.fail(at, field, "", "there are %d of these, counted from 0", v.Len())
				return
			}
			v = v.Index(n)
		default:
			d.fail(at, join(field, step), "", "%s has no fields", field)
			return
		}
	}
	value := &decoder{file: file, at: map[string]place{}}
	if doc := value.parse([]byte(text)); doc != nil {
		value.value(field, doc, v)
	}
	d.errs = append(d.errs, value.errs...)
	for f := range value.at {
		d.at[f] = at
	}
}

// decode reads renditions: a list, or a mapping of count and total.
func (r *Renditions) decode(d *decoder, field string, n ast.Node) {
	if _, ok := n.(ast.ArrayNode); ok {
		d.value(field, n, reflect.ValueOf((*[]Rendition)(r)).Elem())
		for i := range *r { // whole bits, so that printing and reading again changes nothing
			(*r)[i].Rate = cost.Rate(math.Round(float64((*r)[i].Rate)))
		}
		return
	}
	ladder := struct {
		Count int       `yaml:"count"`
		Total cost.Rate `yaml:"total"`
	}{len(*r), r.Total()}
	before := len(d.errs)
	d.mapping(field, n, reflect.ValueOf(&ladder).Elem())
	switch {
	case len(d.errs) > before:
	case ladder.Count < 1 || ladder.Count > maxRenditions:
		d.fail(d.find(field+".count"), field+".count", "", "%d renditions: there must be 1 to %d", ladder.Count, maxRenditions)
	case ladder.Total < cost.Rate(ladder.Count*minRate):
		d.fail(d.find(field+".total"), field+".total", "", "%v for %d renditions: each needs %v at least", ladder.Total, ladder.Count, cost.Rate(minRate))
	default:
		*r = Ladder(ladder.Count, ladder.Total)
	}
}

// decode reads a backend: a name that says all, or a mapping.
func (b *Backend) decode(d *decoder, field string, n ast.Node) {
	if _, ok := n.(ast.MapNode); ok {
		d.mapping(field, n, reflect.ValueOf(b).Elem())
		if b.Store == "" {
			named := NewBackend(b.Name)
			b.Store, b.Cache = named.Store, b.Cache || named.Cache
		}
		return
	}
	text, ok := d.scalar(field, n, "a backend's name or a mapping")
	if !ok {
		return
	}
	if *b = NewBackend(text); b.Store == "" {
		d.fail(d.node(n), field, hint(text, backendNames), "no backend is called %q", text)
	}
}

var backendNames = []string{S3, Embedded, Embedded + WithCache, Cassandra, Cassandra + WithCache}
