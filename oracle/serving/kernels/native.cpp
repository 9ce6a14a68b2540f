// The CPU kernels: adapters of many requests in one pass, rotary positions, attention over paged memory.
//
// Plain C entry points over raw pointers, so that the file compiles in two seconds without PyTorch's headers and is
// called through ctypes. What a row gets never depends on which other rows stand beside it: every sum runs in an order
// that only the row's own length and the shape of the model decide. Row blocks share loads, never sums.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {

constexpr int LANES = 16;
typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef float VecAt4 __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float Eight __attribute__((vector_size(32)));
typedef float EightAt4 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint32_t WordsAt2 __attribute__((vector_size(4 * LANES), aligned(2), may_alias));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
typedef uint32_t WordsAt2 __attribute__((vector_size(4 * LANES), aligned(2), may_alias));
typedef uint16_t HalvesAt2 __attribute__((vector_size(2 * LANES), aligned(2), may_alias));

inline Vec load(const float* at) { return *(const VecAt4*)at; }
inline void store(float* at, Vec v) { *(VecAt4*)at = v; }
// bf16 is the upper half of a float: widening is exact.
inline Vec load(const uint16_t* at) {
    Words w = __builtin_convertvector((Halves) * (const HalvesAt2*)at, Words) << 16;
    return (Vec)w;
}
inline Vec all(float f) { return Vec{} + f; }

// The sums over the lanes of eight vectors, each by the same tree, in 16 shuffles instead of 64.
inline void sums(const Vec* v, float scale, float* to) {
    Vec a[4], b[2];
    for (int i = 0; i < 4; i++)
        a[i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
               __builtin_shufflevector(v[2 * i], v[2 * i + 1], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    for (int i = 0; i < 2; i++)
        b[i] = __builtin_shufflevector(a[2 * i], a[2 * i + 1], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
               __builtin_shufflevector(a[2 * i], a[2 * i + 1], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    Vec c = __builtin_shufflevector(b[0], b[1], 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +
            __builtin_shufflevector(b[0], b[1], 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
    Eight d = __builtin_shufflevector(c, c, 0, 2, 4, 6, 8, 10, 12, 14) + __builtin_shufflevector(c, c, 1, 3, 5, 7, 9, 11, 13, 15);
    *(EightAt4*)to = d * scale;
}

inline float sum(Vec v) {
    float f[LANES];
    std::memcpy(f, &v, sizeof f);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) f[i] += f[i + half];
    return f[0];
}

inline float largest(Vec v) {
    float f[LANES];
    std::memcpy(f, &v, sizeof f);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) f[i] = f[i + half] > f[i] ? f[i + half] : f[i];
    return f[0];
}

// e^x for x ≤ 0, relative error below 2^-22: 2^n from the exponent's bits, a polynomial for the rest.
inline Vec exp_negative(Vec x) {
    const Vec low = all(-87.0f);
    x = x < low ? low : x;
    const Vec shift = all(12582912.0f);  // 1.5 × 2^23: adding it rounds to an integer in the low bits
    Vec t = x * 1.44269504f + shift;
    Ints n = (Ints)t - (Ints)shift;
    t = t - shift;
    Vec r = x - t * 0.693359375f;
    r = r + t * 2.12194440e-4f;
    Vec p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    Vec result = (Vec)((Ints)p + (n << 23));
    return x == x ? result : x;  // NaN stays NaN: it must reach the scores, where it is noticed
}

// Into the second cache, not the first: a core waits for few lines of the first at once, and stands still when all are
// under way. A fetch of what is not there does no harm.
inline void fetch(const void* at) { __builtin_prefetch(at, 0, 2); }

// Memory that will be read soon, fetched at the pace at which this run's is read: always DISTANCE in front, first to the
// end of this run's group, then into the next run's.
struct Ahead {
    static constexpr int64_t DISTANCE = 32 << 10;
    const char *at, *end, *then;
    inline void pass(int bytes) {
        if (at >= end) {
            if (!then) return;
            at = then;
            end = then + DISTANCE;
            then = nullptr;
        }
        for (int i = 0; i < bytes; i += 64) fetch(at + i);
        at += bytes;
    }
};

}  // namespace

extern "C" {

// One fused group of projections (query, key and value; gate and up; or one alone) in the slots of one rank.
struct Group {
    int64_t slot_stride;   // elements from one slot to the next
    int64_t a_offset;      // of A [modules × rank, inputs] in a slot
    int64_t b_offset[4];   // of each module's B [rank, outputs]
    int64_t outputs[4];
    int64_t columns[4];    // where the module's outputs stand in the row of the fused projection
    int64_t inputs;
    int32_t modules, rank, bf16, first_scale;
};

// Consecutive rows that use one slot.
struct Run {
    int32_t slot, first, count;
};

// The rows of one bucket of slots in one batch.
struct Part {
    const Group* groups;  // layer × groups + group
    const void* arena;
    const float* scales;  // [slots, scale_stride]
    int64_t scale_stride;
    const Run* runs;
    int32_t count;
};

struct Batch {
    const Part* parts;
    const int64_t *positions, *places;  // of each token; a place is block × 16 + offset
    const int32_t *tables, *lengths;    // of each decoding row: its blocks, and how many keys it sees
    int64_t table_stride;
    int32_t part_count, threads, tokens, decoding;
};
}

namespace {

// Two vectors that stand side by side. bf16 are read 32 at once: the even ones are the lower halves of 16 words, the odd
// ones the upper halves, so that each costs one operation. Floats that meet them are arranged in the same way.
struct Pair {
    Vec first, second;
};
inline Pair pair(const float* at) { return {load(at), load(at + LANES)}; }
inline Pair pair(const uint16_t* at) {
    Words w = *(const WordsAt2*)at;
    return {(Vec)(w << 16), (Vec)(w & 0xFFFF0000u)};
}
inline Pair arranged(Pair p, const float*) { return p; }
inline Pair arranged(Pair p, const uint16_t*) {
    return {__builtin_shufflevector(p.first, p.second, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
            __builtin_shufflevector(p.first, p.second, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)};
}
inline Pair in_order(Pair p, const float*) { return p; }
inline Pair in_order(Pair p, const uint16_t*) {
    return {__builtin_shufflevector(p.first, p.second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
            __builtin_shufflevector(p.first, p.second, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)};
}

constexpr int RANKS = 8;

// h = scale × A · x for some rows. What remains of a width after whole pairs is one vector.
template <int ROWS, typename T>
void shrink(const T* a, const float* x, int64_t x_stride, int64_t inputs, int rank, float scale, float* h,
            int64_t h_stride, Ahead& ahead) {
    for (int r0 = 0; r0 < rank; r0 += RANKS) {
        Vec acc[ROWS][RANKS] = {};
        const T* a0 = a + (int64_t)r0 * inputs;
        int64_t k = 0;
        for (; k + 2 * LANES <= inputs; k += 2 * LANES) {
            ahead.pass(RANKS * 2 * LANES * sizeof(T));
            Pair xs[ROWS];
            for (int i = 0; i < ROWS; i++) xs[i] = arranged(pair(x + i * x_stride + k), a);
            for (int r = 0; r < RANKS; r++) {
                Pair w = pair(a0 + r * inputs + k);
                for (int i = 0; i < ROWS; i++) acc[i][r] += xs[i].first * w.first;
                for (int i = 0; i < ROWS; i++) acc[i][r] += xs[i].second * w.second;
            }
        }
        if (k < inputs)
            for (int r = 0; r < RANKS; r++)
                for (int i = 0; i < ROWS; i++) acc[i][r] += load(x + i * x_stride + k) * load(a0 + r * inputs + k);
        for (int i = 0; i < ROWS; i++) sums(acc[i], scale, h + i * h_stride + r0);
    }
}

// y += h · B for some rows.
template <int ROWS, typename T>
void expand(const T* b, const float* h, int64_t h_stride, int64_t outputs, int rank, float* y, int64_t y_stride,
            Ahead& ahead) {
    for (int r0 = 0; r0 < rank; r0 += RANKS) {
        Vec hs[ROWS][RANKS];
        for (int i = 0; i < ROWS; i++)
            for (int r = 0; r < RANKS; r++) hs[i][r] = all(h[i * h_stride + r0 + r]);
        const T* b0 = b + (int64_t)r0 * outputs;
        int64_t o = 0;
        for (; o + 2 * LANES <= outputs; o += 2 * LANES) {
            ahead.pass(RANKS * 2 * LANES * sizeof(T));
            Pair more[ROWS] = {};
            for (int r = 0; r < RANKS; r++) {
                Pair w = pair(b0 + r * outputs + o);
                for (int i = 0; i < ROWS; i++) more[i].first += w.first * hs[i][r];
                for (int i = 0; i < ROWS; i++) more[i].second += w.second * hs[i][r];
            }
            for (int i = 0; i < ROWS; i++) {
                float* at = y + i * y_stride + o;
                Pair m = in_order(more[i], b);
                store(at, load(at) + m.first);
                store(at + LANES, load(at + LANES) + m.second);
            }
        }
        if (o < outputs)
            for (int i = 0; i < ROWS; i++) {
                Vec more = {};
                for (int r = 0; r < RANKS; r++) more += load(b0 + r * outputs + o) * hs[i][r];
                store(y + i * y_stride + o, load(y + i * y_stride + o) + more);
            }
    }
}

// Calls `few(rows at once, first row)` over some rows, three at a time.
template <typename Few>
inline void by_threes(int rows, const Few& few) {
    int i = 0;
    for (; i + 3 <= rows; i += 3) few(std::integral_constant<int, 3>(), i);
    if (rows - i == 2) few(std::integral_constant<int, 2>(), i);
    if (rows - i == 1) few(std::integral_constant<int, 1>(), i);
}

// Rows that pass through a stage together: what one step leaves in the caches the next one finds there.
constexpr int CHUNK = 48;
constexpr int BLOCK = 24;  // rows whose shrunken inputs wait together for B

// The adapters of one part in rows `begin` to `end`.
template <typename T>
void delta_part(const Part& p, int32_t group, int64_t begin, int64_t end, const float* x, int64_t x_stride, float* y,
                int64_t y_stride) {
    const Group& g = p.groups[group];
    const T* arena = (const T*)p.arena;
    const int64_t a_module = (int64_t)g.rank * g.inputs, width = (int64_t)g.modules * g.rank;
    const int64_t group_end = g.b_offset[g.modules - 1] + g.rank * g.outputs[g.modules - 1];
    thread_local std::vector<float> h;
    h.resize(BLOCK * width);
    const Run* after = std::lower_bound(p.runs, p.runs + p.count, begin, [](const Run& r, int64_t row) {
        return r.first + r.count <= row;
    });
    for (int n = after - p.runs; n < p.count && p.runs[n].first < end; n++) {
        const Run& run = p.runs[n];
        const T* slot = arena + run.slot * g.slot_stride;
        const T* a = slot + g.a_offset;
        const float* scale = p.scales + run.slot * p.scale_stride + g.first_scale;
        const int64_t last = std::min<int64_t>(run.first + run.count, end);
        // After the last run comes the first one's next group, which begins where this one ends.
        const T* next = n + 1 < p.count ? arena + p.runs[n + 1].slot * g.slot_stride + g.a_offset
                                        : arena + p.runs[0].slot * g.slot_stride + group_end;
        Ahead ahead = {(const char*)a + Ahead::DISTANCE, (const char*)(slot + group_end), (const char*)next};
        for (int64_t first = std::max<int64_t>(run.first, begin); first < last; first += BLOCK) {
            const int rows = std::min<int64_t>(last - first, BLOCK);
            const float* x0 = x + first * x_stride;
            float* y0 = y + first * y_stride;
            for (int m = 0; m < g.modules; m++) {
                if (scale[m] == 0.0f) continue;
                const T* am = a + m * a_module;
                float* hm = h.data() + m * g.rank;
                by_threes(rows, [&](auto at_once, int i) {
                    shrink<at_once()>(am, x0 + i * x_stride, x_stride, g.inputs, g.rank, scale[m], hm + i * width,
                                      width, ahead);
                });
            }
            for (int m = 0; m < g.modules; m++) {
                if (scale[m] == 0.0f) continue;
                const T* bm = slot + g.b_offset[m];
                const float* hm = h.data() + m * g.rank;
                float* ym = y0 + g.columns[m];
                by_threes(rows, [&](auto at_once, int i) {
                    expand<at_once()>(bm, hm + i * width, width, g.outputs[m], g.rank, ym + i * y_stride, y_stride,
                                      ahead);
                });
            }
        }
    }
}

// y += scale × (x · Aᵀ) · B for every row that has an adapter, then `then` for every row, a chunk of rows at a time.
// Absent modules have scale 0 and are not read.
template <typename Then>
void delta_then(const Batch* batch, int32_t group, const float* x, int64_t x_stride, float* y, int64_t y_stride,
                const Then& then) {
    const int chunks = (batch->tokens + CHUNK - 1) / CHUNK;
#pragma omp parallel for num_threads(batch->threads) if (batch->threads > 1)
    for (int c = 0; c < chunks; c++) {
        const int64_t begin = (int64_t)c * CHUNK, end = std::min<int64_t>(begin + CHUNK, batch->tokens);
        for (int i = 0; i < batch->part_count; i++) {
            const Part& p = batch->parts[i];
            if (p.groups[group].bf16)
                delta_part<uint16_t>(p, group, begin, end, x, x_stride, y, y_stride);
            else
                delta_part<float>(p, group, begin, end, x, x_stride, y, y_stride);
        }
        for (int64_t t = begin; t < end; t++) then(t);
    }
}

}  // namespace

extern "C" {

// One layer's memory: keys [blocks, kv_heads, dim, 16], values [blocks, kv_heads, 16, dim]; cosines, sines [positions, dim / 2].
struct Pages {
    float *keys, *values;
    const float *cosines, *sines;
    int32_t heads, kv_heads, dim;
};

// The adapters alone.
void delta(const Batch* batch, int32_t group, const float* x, int64_t x_stride, float* y, int64_t y_stride) {
    delta_then(batch, group, x, x_stride, y, y_stride, [](int64_t) {});
}
}

namespace {

void rotate(float* v, int dim, const float* c, const float* s) {
    const int half = dim / 2;
    for (int i = 0; i < half; i++) {
        const float low = v[i], high = v[i + half];
        v[i] = low * c[i] - high * s[i];
        v[i + half] = high * c[i] + low * s[i];
    }
}

// Rotates the queries of one token in place, and writes its rotated keys and its values to their place.
void rotate_and_store(const Pages& p, float* row, int64_t position, int64_t place) {
    const int dim = p.dim;
    const float *c = p.cosines + position * (dim / 2), *s = p.sines + position * (dim / 2);
    for (int h = 0; h < p.heads + p.kv_heads; h++) rotate(row + h * dim, dim, c, s);
    const int64_t block = place / LANES, offset = place % LANES;
    for (int h = 0; h < p.kv_heads; h++) {
        const float *k = row + (p.heads + h) * dim, *v = row + (p.heads + p.kv_heads + h) * dim;
        float* keys = p.keys + (block * p.kv_heads + h) * dim * LANES + offset;
        for (int d = 0; d < dim; d++) keys[d * LANES] = k[d];
        std::memcpy(p.values + ((block * p.kv_heads + h) * LANES + offset) * dim, v, dim * sizeof(float));
    }
}

// What one row's queries of one head of keys look at: its blocks in order. No blocks where there is nobody.
struct Past {
    const int32_t* table;
    int64_t kv;
    int blocks;
};

inline Past past_of(const Batch& batch, int row, int64_t kv) {
    if (row >= batch.decoding) return {};
    return {batch.tables + row * batch.table_stride, kv, (batch.lengths[row] + LANES - 1) / LANES};
}

// One head of one new token looks at its row's past; meanwhile the past that is looked at next is fetched, block beside
// block: blocks lie wherever one was free, so that no processor foresees them. What stands beyond the row's length,
// perhaps left by another request, is never part of a sum: not even multiplied by zero, for it may be infinite.
void attend(const Pages& p, const float* q, const Past& past, const Past& next, int length, float* scores, float* to) {
    const int dim = p.dim, blocks = past.blocks;
    const int64_t size = (int64_t)dim * LANES;
    const float scale = 1.0f / __builtin_sqrtf((float)dim);
    for (int b = 0; b < blocks; b++) {
        const float* keys = p.keys + (past.table[b] * (int64_t)p.kv_heads + past.kv) * size;
        // Where there is no next block this one is fetched again: it is there.
        const float* then = b < next.blocks ? p.keys + (next.table[b] * (int64_t)p.kv_heads + next.kv) * size : keys;
        Vec acc[4] = {};
        for (int d = 0; d < dim; d += 4)
            for (int i = 0; i < 4; i++) {
                fetch(then + (d + i) * LANES);
                acc[i] += load(keys + (d + i) * LANES) * q[d + i];
            }
        store(scores + b * LANES, ((acc[0] + acc[1]) + (acc[2] + acc[3])) * scale);
    }
    for (int i = length; i < blocks * LANES; i++) scores[i] = scores[0];
    Vec most = load(scores), totals = {};
    for (int b = 1; b < blocks; b++) most = load(scores + b * LANES) > most ? load(scores + b * LANES) : most;
    const Vec highest = all(largest(most));
    for (int b = 0; b < blocks; b++) store(scores + b * LANES, exp_negative(load(scores + b * LANES) - highest));
    for (int i = length; i < blocks * LANES; i++) scores[i] = 0.0f;
    for (int b = 0; b < blocks; b++) totals += load(scores + b * LANES);
    const float total = sum(totals);
    for (int d0 = 0; d0 < dim; d0 += 4 * LANES) {
        const int vectors = (dim - d0) / LANES < 4 ? (dim - d0) / LANES : 4;
        Vec acc[4] = {};
        for (int b = 0, i = 0; b < blocks; b++) {
            const float* values = p.values + (past.table[b] * (int64_t)p.kv_heads + past.kv) * size + d0;
            const float* then =
                b < next.blocks ? p.values + (next.table[b] * (int64_t)p.kv_heads + next.kv) * size + d0 : values;
            for (; i < length && i < (b + 1) * LANES; i++, values += dim, then += dim) {
                const float weight = scores[i];
                if (vectors == 4)
                    for (int j = 0; j < 4; j++) {
                        fetch(then + j * LANES);
                        acc[j] += load(values + j * LANES) * weight;
                    }
                else
                    for (int j = 0; j < vectors; j++) acc[j] += load(values + j * LANES) * weight;
            }
        }
        for (int j = 0; j < vectors; j++) store(to + d0 + j * LANES, acc[j] * (1.0f / total));
    }
}

}  // namespace

extern "C" {

// After the projection to queries, keys and values: adapters, rotary positions, memory; then attention of decoding rows.
// A prompt's tokens attend elsewhere, with matrices.
void attention(const Batch* batch, const Pages* p, int32_t group, const float* x, int64_t x_stride, float* qkv,
               int64_t stride, float* out, int64_t out_stride) {
    delta_then(batch, group, x, x_stride, qkv, stride, [=](int64_t t) {
        rotate_and_store(*p, qkv + t * stride, batch->positions[t], batch->places[t]);
    });
#pragma omp parallel for num_threads(batch->threads) if (batch->threads > 1)
    for (int row = 0; row < batch->decoding; row++) {
        std::vector<float> scores(batch->lengths[row] + LANES);
        // Queries that share their keys come one after another: nothing is fetched before the last of them.
        const int shared = p->heads / p->kv_heads;
        for (int h = 0; h < p->heads; h++) {
            const Past past = past_of(*batch, row, h / shared);
            const bool last = h % shared == shared - 1, more = h + 1 < p->heads;
            const Past next = !last ? Past{} : more ? past_of(*batch, row, past.kv + 1) : past_of(*batch, row + 1, 0);
            attend(*p, qkv + row * stride + h * p->dim, past, next, batch->lengths[row], scores.data(),
                   out + row * out_stride + h * p->dim);
        }
    }
}

// residual += y, with adapters; out = the residual, root-mean-square normalised.
void add_norm(const Batch* batch, int32_t group, const float* x, int64_t x_stride, float* y, float* residual,
              const float* weight, float epsilon, float* out, int64_t hidden) {
    delta_then(batch, group, x, x_stride, y, hidden, [=](int64_t t) {
        float *r = residual + t * hidden, *to = out + t * hidden;
        const float* more = y + t * hidden;
        Vec squares[2] = {};
        for (int64_t i = 0; i < hidden; i += LANES) {
            Vec v = load(r + i) + load(more + i);
            store(r + i, v);
            squares[i / LANES % 2] += v * v;
        }
        const float mean = sum(squares[0] + squares[1]) / (float)hidden;
        const float factor = 1.0f / __builtin_sqrtf(mean + epsilon);
        for (int64_t i = 0; i < hidden; i += LANES) store(to + i, load(weight + i) * (load(r + i) * factor));
    });
}

// out = silu(gate) × up, with adapters. A row of `both` is gate, then up.
void gate(const Batch* batch, int32_t group, const float* x, int64_t x_stride, float* both, float* out, int64_t width) {
    delta_then(batch, group, x, x_stride, both, 2 * width, [=](int64_t t) {
        const float *g = both + 2 * t * width, *up = g + width;
        for (int64_t i = 0; i < width; i += LANES) {
            Vec v = load(g + i), zero = {};
            Vec small = exp_negative(v < zero ? v : -v);
            Vec sigmoid = (v < zero ? small : zero + 1.0f) / (small + 1.0f);
            store(out + t * width + i, v * sigmoid * load(up + i));
        }
    });
}
}
