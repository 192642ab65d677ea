// Judge says of Kubernetes objects what GitOps tools make of them: Flux by the kstatus library, Argo CD by a script in Lua
// for each kind. Standard input has an object to a line, standard output a verdict to a line, both as JSON.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// longest is more than any object that etcd takes.
const longest = 8 << 20

type word struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type verdict struct {
	Kstatus word `json:"kstatus"`
	Argo    word `json:"argo"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: judge SCRIPTS, where SCRIPTS/GROUP/KIND/health.lua are the scripts")
		os.Exit(2)
	}
	if err := judge(os.Stdin, os.Stdout, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func judge(in io.Reader, out io.Writer, scripts string) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longest)
	answers := json.NewEncoder(out)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil {
			return err
		}
		found, err := about(object, scripts)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if err := answers.Encode(found); err != nil {
			return err
		}
	}
	return lines.Err()
}

func about(object *unstructured.Unstructured, scripts string) (verdict, error) {
	kstatus, err := byKstatus(object)
	if err != nil {
		return verdict{}, err
	}
	argo, err := byScript(object, scripts)
	return verdict{Kstatus: kstatus, Argo: argo}, err
}
