package document

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// CheckText returns an error that shows the first character of text which says nothing to people but makes a terminal do something, or
// turns the direction of what follows, or nil. New lines and tabs are text.
func CheckText(text string) error {
	for _, r := range text {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) || r == unicode.ReplacementChar {
			return fmt.Errorf("has the character %+q, which is no text: leave it out", r)
		}
	}
	return nil
}

// CheckTexts is CheckText of every text in v, a value as a YAML decoder fills it: structs, maps, slices and what they point to. The error
// names the field as the file does.
func CheckTexts(v any) error { return checkTexts("", reflect.ValueOf(v)) }

func checkTexts(at string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		if err := CheckText(v.String()); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return checkTexts(at, v.Elem())
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := checkTexts(fmt.Sprintf("%s[%d]", at, i), v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			return nil
		}
		all := map[string]reflect.Value{}
		for k, e := range v.Seq2() {
			all[k.String()] = e
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if err := CheckText(name); err != nil {
				return fmt.Errorf("%s: the name %+q %w", at, name, err)
			}
			if err := checkTexts(join(at, name), all[name]); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for f, e := range v.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if name == "" || name == "-" || !f.IsExported() {
				continue
			}
			if err := checkTexts(join(at, name), e); err != nil {
				return err
			}
		}
	}
	return nil
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
