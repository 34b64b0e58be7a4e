// main.go: checks a Gatehouse log's tree and heads with Go's own transparency log packages, which
// share no code with it: signature, tiles up to the root, inclusion and consistency proofs.
//
//	main --dir FOLDER                       a folder as tests/oracle/writelog.c describes it
//	main --url https://HOST:PORT --vkey KEY [--ca FILE] [--at-least N] [--old FILE] [--save FILE]
//
// Builds with Debian's golang-golang-x-mod-dev: GO111MODULE=off GOPATH=/usr/share/gocode.
package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

// source gives the log's resources by C2SP's names: "checkpoint", "tile/0/x001/234.p/5".
type source interface {
	get(name string) ([]byte, error)
}

type folder struct{ path string }

func (f folder) get(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(f.path, name))
}

type server struct {
	base   string
	client *http.Client
}

func (s server) get(name string) ([]byte, error) {
	answer, err := s.client.Get(s.base + "/log/" + name)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %s", name, answer.Status)
	}
	return body, nil
}

func connect(base, ca string) (server, error) {
	config := &tls.Config{}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return server{}, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return server{}, fmt.Errorf("no certificate in %s", ca)
		}
	}
	client := &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{TLSClientConfig: config},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("redirected")
		},
	}
	return server{strings.TrimSuffix(base, "/"), client}, nil
}

// tilePath is C2SP's name of a tile: Go's, without the height.
func tilePath(t tlog.Tile) string {
	return strings.Replace(t.Path(), fmt.Sprintf("tile/%d/", tileHeight), "tile/", 1)
}

// reader hands tiles to tlog, which authenticates them against the head.
type reader struct {
	from  source
	cache map[tlog.Tile][]byte
}

func (r *reader) Height() int                         { return tileHeight }
func (r *reader) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (r *reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		data, ok := r.cache[t]
		if !ok {
			var err error
			if data, err = r.from.get(tilePath(t)); err != nil {
				return nil, err
			}
			if len(data) != t.W*tlog.HashSize {
				return nil, fmt.Errorf("%s has %d bytes", tilePath(t), len(data))
			}
			r.cache[t] = data
		}
		all = append(all, data)
	}
	return all, nil
}

// stored is a whole tree in memory, built from leaf hashes alone.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, i := range indexes {
		if i < 0 || i >= int64(len(s)) {
			return nil, fmt.Errorf("no hash %d", i)
		}
		hashes = append(hashes, s[i])
	}
	return hashes, nil
}

func build(leaves []tlog.Hash) (stored, error) {
	var s stored
	for i, leaf := range leaves {
		more, err := tlog.StoredHashesForRecordHash(int64(i), leaf, s)
		if err != nil {
			return nil, err
		}
		s = append(s, more...)
	}
	return s, nil
}

// rootOf is TreeHash with RFC 6962's root of the empty tree.
func rootOf(n int64, r tlog.HashReader) (tlog.Hash, error) {
	if n == 0 {
		return sha256.Sum256(nil), nil
	}
	return tlog.TreeHash(n, r)
}

// open verifies a checkpoint's signature and reads its three lines.
func open(message []byte, vkey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(vkey))
	if err != nil {
		return tlog.Tree{}, err
	}
	n, err := note.Open(message, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return tlog.Tree{}, fmt.Errorf("checkpoint has %d lines", len(lines)-1)
	}
	if lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("origin %q is not the key's name %q", lines[0], verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, fmt.Errorf("bad size %q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// readLeaves gets all leaf hashes. tlog authenticates the tiles, but Debian 12's forgets some (it
// skips as many as the head has subtrees, though these may share tiles), so that checkTree builds
// the whole tree from what comes back.
func readLeaves(head tlog.Tree, tiles *reader) ([]tlog.Hash, error) {
	if head.N == 0 {
		return nil, nil
	}
	var indexes []int64
	for i := int64(0); i < head.N; i++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, i))
	}
	return tlog.TileHashReader(head, tiles).ReadHashes(indexes)
}

// spots are the leaf numbers to prove: all of a small log, borders and random ones of a large.
func spots(n int64) []int64 {
	seen := map[int64]bool{}
	for i := int64(0); i < n && i < 600; i++ {
		seen[i] = true
	}
	for _, i := range []int64{n - 2, n - 1, n / 2, 65279, 65280, 65534, 65535, 65536} {
		if i >= 0 && i < n {
			seen[i] = true
		}
	}
	for k := 0; k < 200 && n > 600; k++ {
		seen[rand.Int63n(n)] = true
	}
	var list []int64
	for i := range seen {
		list = append(list, i)
	}
	sort.Slice(list, func(a, b int) bool { return list[a] < list[b] })
	return list
}

// checkTree verifies tiles up to the root, then proofs made from the tiles.
func checkTree(head tlog.Tree, tiles *reader) (stored, []tlog.Hash, error) {
	leaves, err := readLeaves(head, tiles)
	if err != nil {
		return nil, nil, err
	}
	tree, err := build(leaves)
	if err != nil {
		return nil, nil, err
	}
	root, err := rootOf(head.N, tree)
	if err != nil {
		return nil, nil, err
	}
	if root != head.Hash {
		return nil, nil, errors.New("leaf hashes do not give the root")
	}
	fromTiles := tlog.TileHashReader(head, tiles)
	for _, i := range spots(head.N) {
		record, err := tlog.ProveRecord(head.N, i, fromTiles)
		if err != nil {
			return nil, nil, err
		}
		if err = tlog.CheckRecord(record, head.N, head.Hash, i, leaves[i]); err != nil {
			return nil, nil, err
		}
		old, err := rootOf(i+1, tree)
		if err != nil {
			return nil, nil, err
		}
		extension, err := tlog.ProveTree(head.N, i+1, fromTiles)
		if err != nil {
			return nil, nil, err
		}
		if err = tlog.CheckTree(extension, head.N, head.Hash, i+1, old); err != nil {
			return nil, nil, err
		}
	}
	return tree, leaves, nil
}

// tilesOf lists the tiles a tree of n leaves has: each level's full ones, then its partial one.
func tilesOf(n int64) []tlog.Tile {
	var tiles []tlog.Tile
	for level := 0; n>>(tileHeight*level) > 0; level++ {
		hashes := n >> (tileHeight * level)
		for i := int64(0); i < hashes; i += 1 << tileHeight {
			width := hashes - i
			if width > 1<<tileHeight {
				width = 1 << tileHeight
			}
			tiles = append(tiles, tlog.Tile{H: tileHeight, L: level, N: i >> tileHeight, W: int(width)})
		}
	}
	return tiles
}

// checkTiles compares every tile with the one made from the leaves.
func checkTiles(n int64, tree stored, tiles *reader) error {
	for _, t := range tilesOf(n) {
		want, err := tlog.ReadTileData(t, tree)
		if err != nil {
			return err
		}
		got, err := tiles.ReadTiles([]tlog.Tile{t})
		if err != nil {
			return err
		}
		if !bytes.Equal(want, got[0]) {
			return fmt.Errorf("%s is not what the leaves give", tilePath(t))
		}
	}
	return nil
}

// checkFolder: nothing in tile/ but the tiles and bundles that a tree of n leaves has.
func checkFolder(path string, n int64) error {
	want := map[string]bool{}
	for _, t := range tilesOf(n) {
		want[tilePath(t)] = true
		if t.L == 0 {
			want[strings.Replace(tilePath(t), "tile/0/", "tile/entries/", 1)] = true
		}
	}
	err := filepath.Walk(filepath.Join(path, "tile"), func(name string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		relative, err := filepath.Rel(path, name)
		if err == nil && !want[relative] {
			err = fmt.Errorf("%s should not be there", relative)
		}
		delete(want, relative)
		return err
	})
	if n == 0 && errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	for name := range want {
		return fmt.Errorf("%s is missing", name)
	}
	return nil
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, h)
	}
	return hashes, nil
}

// checkInclusion verifies a tlog-proof file that the product wrote.
func checkInclusion(name string, vkey string, leaves []tlog.Hash) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	proof, checkpoint, ok := strings.Cut(string(data), "\n\n")
	lines := strings.Split(proof, "\n")
	if !ok || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return errors.New("not a tlog-proof")
	}
	index, err := strconv.ParseInt(lines[1][len("index "):], 10, 64)
	if err != nil || index < 0 || index >= int64(len(leaves)) {
		return errors.New("bad index")
	}
	hashes, err := parseHashes(lines[2:])
	if err != nil {
		return err
	}
	head, err := open([]byte(checkpoint), vkey)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(hashes, head.N, head.Hash, index, leaves[index])
}

// checkConsistency verifies a consistency proof that the product wrote.
func checkConsistency(name string, head tlog.Tree, tree stored) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) < 2 {
		return errors.New("too short")
	}
	size, err := strconv.ParseInt(lines[0], 10, 64)
	if err != nil || size < 0 || size > head.N {
		return errors.New("bad size")
	}
	hashes, err := parseHashes(lines[1:])
	if err != nil {
		return err
	}
	root, err := rootOf(size, tree)
	if err != nil {
		return err
	}
	if root != hashes[0] {
		return errors.New("wrong old root")
	}
	if size == 0 || size == head.N { // nothing to prove; tlog knows no such proof
		if len(hashes) > 1 {
			return errors.New("not empty")
		}
		return nil
	}
	return tlog.CheckTree(hashes[1:], head.N, head.Hash, size, root)
}

func checkProofs(path, vkey string, head tlog.Tree, tree stored, leaves []tlog.Hash) (int, error) {
	names, err := filepath.Glob(filepath.Join(path, "proofs", "*"))
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".tlog-proof") {
			err = checkInclusion(name, vkey, leaves)
		} else {
			err = checkConsistency(name, head, tree)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
	}
	return len(names), nil
}

func runFolder(path string) error {
	from := folder{path}
	vkey, err := from.get("vkey")
	if err != nil {
		return err
	}
	message, err := from.get("checkpoint")
	if err != nil {
		return err
	}
	head, err := open(message, string(vkey))
	if err != nil {
		return err
	}
	tiles := &reader{from, map[tlog.Tile][]byte{}}
	tree, leaves, err := checkTree(head, tiles)
	if err != nil {
		return err
	}
	if err = checkTiles(head.N, tree, tiles); err != nil {
		return err
	}
	if err = checkFolder(path, head.N); err != nil {
		return err
	}
	raw, err := from.get("leaves")
	if err != nil {
		return err
	}
	var joined []byte
	for i := range leaves {
		joined = append(joined, leaves[i][:]...)
	}
	if !bytes.Equal(raw, joined) {
		return errors.New("the leaves file is not what the tiles hold")
	}
	proofs, err := checkProofs(path, string(vkey), head, tree, leaves)
	if err == nil {
		fmt.Printf("%d leaves, %d tiles, %d proofs: verified\n", head.N, len(tiles.cache), proofs)
	}
	return err
}

// checkOlder: the tiles of older sizes are still served, and still give those sizes' roots.
func checkOlder(n int64, tree stored, leaves []tlog.Hash, from source) error {
	list := spots(n)
	step := len(list)/40 + 1 // each costs a few requests
	for k := len(list) - 1; k >= 0; k -= step {
		i := list[k]
		old, err := rootOf(i+1, tree)
		if err != nil {
			return err
		}
		tiles := &reader{from, map[tlog.Tile][]byte{}}
		got, err := tlog.TileHashReader(tlog.Tree{N: i + 1, Hash: old}, tiles).ReadHashes(
			[]int64{tlog.StoredHashIndex(0, i)})
		if err == nil && got[0] != leaves[i] {
			err = errors.New("another leaf hash")
		}
		if err != nil {
			return fmt.Errorf("at size %d: %w", i+1, err)
		}
	}
	return nil
}

func runServer(base, ca, vkey, oldName, saveName string, atLeast int64) error {
	from, err := connect(base, ca)
	if err != nil {
		return err
	}
	message, err := from.get("checkpoint")
	if err != nil {
		return err
	}
	head, err := open(message, vkey)
	if err != nil {
		return err
	}
	if head.N < atLeast {
		return fmt.Errorf("head has %d leaves, expected at least %d", head.N, atLeast)
	}
	tiles := &reader{from, map[tlog.Tile][]byte{}}
	tree, leaves, err := checkTree(head, tiles)
	if err != nil {
		return err
	}
	if err = checkTiles(head.N, tree, tiles); err != nil {
		return err
	}
	if err = checkOlder(head.N, tree, leaves, from); err != nil {
		return err
	}
	if oldName != "" {
		message, err := os.ReadFile(oldName)
		if err != nil {
			return err
		}
		old, err := open(message, vkey)
		if err != nil {
			return err
		}
		if old.N > head.N {
			return fmt.Errorf("the log shrank from %d to %d", old.N, head.N)
		}
		root, err := rootOf(old.N, tree)
		if err != nil {
			return err
		}
		if root != old.Hash {
			return fmt.Errorf("the log of %d leaves does not extend the old head of %d", head.N, old.N)
		}
	}
	if saveName != "" {
		if err := os.WriteFile(saveName, message, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%d leaves, %d tiles, root %s: verified\n", head.N, len(tiles.cache),
		base64.StdEncoding.EncodeToString(head.Hash[:]))
	return nil
}

func main() {
	dir := flag.String("dir", "", "folder of a log")
	url := flag.String("url", "", "a live server")
	ca := flag.String("ca", "", "certificates to trust for it")
	vkey := flag.String("vkey", "", "the log's verifier key, for --url")
	atLeast := flag.Int64("at-least", 0, "the head must have as many leaves")
	old := flag.String("old", "", "a checkpoint that the log must extend")
	save := flag.String("save", "", "where to keep the checkpoint that was verified")
	flag.Parse()
	var err error
	switch {
	case *dir != "" && *url == "":
		err = runFolder(*dir)
	case *url != "" && *dir == "" && *vkey != "":
		err = runServer(*url, *ca, *vkey, *old, *save, *atLeast)
	default:
		flag.Usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "does not verify:", err)
		os.Exit(5)
	}
}
