// Adapters of many rows in one pass: y += scale × (x · Aᵀ) · B, each row's own.

#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "vectors.h"

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

namespace {

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
