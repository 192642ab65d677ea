package main

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func byKstatus(object *unstructured.Unstructured) (word, error) {
	found, err := status.Compute(object)
	if err != nil {
		return word{}, err
	}
	return word{Status: found.Status.String(), Message: found.Message}, nil
}
