# Joining basins: a graph of basins whose edges are their common borders. In every round the pairs are joined that have
# the largest affinity of both, then borders with a third basin count as one. A round looks no further than at the
# neighbors of neighbors, so what becomes of a pair depends on its surroundings only.

# An edge is in the lists of two nodes. A link stands for an edge and one of its ends: 2 * edge + end.
cdef struct Edge:
    int node[2]
    Py_ssize_t next[2]      # link in the list of each node; -1 ends it
    long long n_faces       # 0: merged into another edge
    long long agreement
    long long convergence


cdef struct Graph:
    Edge *edges
    Py_ssize_t *first       # per node: link
    Py_ssize_t *seen        # per node: link of the edge to it in the list that is being read, or -1
    double *best            # per node: largest affinity above the minimum, or 0
    int *parent             # per node: a smaller node of the same object, or itself
    int *listed             # per node: whether it is in `changed`
    int *changed            # nodes whose edges or neighbors have changed
    int *roots              # nodes that others were joined with
    int *members            # nodes that were joined in this round
    Py_ssize_t n_changed, n_roots, n_members
    long long *totals       # per node: sum of the squared lengths of flows, number of pixels
    double min_affinity


cdef inline int _root(const Graph *graph, int node) noexcept nogil:
    while graph.parent[node] != node:
        graph.parent[node] = graph.parent[graph.parent[node]]
        node = graph.parent[node]
    return node


cdef inline double _affinity(const Graph *graph, const Edge *edge) noexcept nogil:
    # Mean agreement over the faces, in units of the mean squared flow of the basin that has less, or mean convergence,
    # whichever is larger.
    cdef const long long *a = &graph.totals[2 * <Py_ssize_t> edge.node[0]]
    cdef const long long *b = &graph.totals[2 * <Py_ssize_t> edge.node[1]]
    cdef double lesser = min(<double> a[0] / a[1], <double> b[0] / b[1])
    cdef double agreement = edge.agreement / max(lesser, 1.0)
    return max(agreement, edge.convergence / UNITS_PER_ONE) / edge.n_faces


cdef void _merge_edges(Graph *graph, int node) noexcept nogil:
    # Merge the edges of a node that lead to the same node, and take those out of its list that are no more.
    cdef Py_ssize_t link = graph.first[node], before = -1, other, following
    cdef Edge *edge
    cdef Edge *same
    while link >= 0:
        edge = &graph.edges[link >> 1]
        following = edge.next[link & 1]
        if edge.n_faces > 0:
            other = edge.node[1 - (link & 1)]
            if graph.seen[other] < 0:
                graph.seen[other] = link
            else:
                same = &graph.edges[graph.seen[other] >> 1]
                same.n_faces += edge.n_faces
                same.agreement += edge.agreement
                same.convergence += edge.convergence
                edge.n_faces = 0
        if edge.n_faces > 0:
            before = link
        elif before < 0:
            graph.first[node] = following
        else:
            graph.edges[before >> 1].next[before & 1] = following
        link = following
    link = graph.first[node]
    while link >= 0:
        edge = &graph.edges[link >> 1]
        graph.seen[edge.node[1 - (link & 1)]] = -1
        link = edge.next[link & 1]


cdef void _find_best(Graph *graph, int node) noexcept nogil:
    cdef Py_ssize_t link = graph.first[node]
    cdef Edge *edge
    cdef double affinity, best = 0.0
    while link >= 0:
        edge = &graph.edges[link >> 1]
        if edge.n_faces > 0:
            affinity = _affinity(graph, edge)
            if affinity > graph.min_affinity:
                best = max(best, affinity)
        link = edge.next[link & 1]
    graph.best[node] = best


cdef void _join_best(Graph *graph, int node) noexcept nogil:
    # Join a node with the neighbors that are best for it and for which it is best; list all of these in `members`.
    cdef Py_ssize_t link = graph.first[node]
    cdef int a, b, k
    cdef Edge *edge
    cdef double affinity
    while link >= 0 and graph.best[node] > 0.0:
        edge = &graph.edges[link >> 1]
        if edge.n_faces > 0:
            affinity = _affinity(graph, edge)
            if affinity == graph.best[edge.node[0]] and affinity == graph.best[edge.node[1]]:
                a = _root(graph, edge.node[0])
                b = _root(graph, edge.node[1])
                graph.parent[max(a, b)] = min(a, b)
                for k in range(2):
                    if graph.seen[edge.node[k]] == -1:
                        graph.seen[edge.node[k]] = -2
                        graph.members[graph.n_members] = edge.node[k]
                        graph.n_members += 1
        link = edge.next[link & 1]


cdef void _gather_edges(Graph *graph, int node, Py_ssize_t link) noexcept nogil:
    # Put the edges in the list of a node, which begins with `link`, into that of its root.
    cdef Py_ssize_t following
    cdef int root = _root(graph, node)
    cdef Edge *edge
    while link >= 0:
        edge = &graph.edges[link >> 1]
        following = edge.next[link & 1]
        edge.node[0] = _root(graph, edge.node[0])
        edge.node[1] = _root(graph, edge.node[1])
        if edge.node[0] == edge.node[1]:
            edge.n_faces = 0
        if edge.n_faces > 0:
            edge.next[link & 1] = graph.first[root]
            graph.first[root] = link
        link = following


cdef void _merge_members(Graph *graph) noexcept nogil:
    # Move edges and sums of the joined nodes to their roots; list the roots.
    cdef Py_ssize_t i
    cdef int node, root
    graph.n_roots = 0
    for i in range(graph.n_members):
        node = graph.members[i]
        graph.seen[node] = graph.first[node] if graph.first[node] >= 0 else -2
        graph.first[node] = -1
    for i in range(graph.n_members):
        node = graph.members[i]
        root = _root(graph, node)
        _gather_edges(graph, node, graph.seen[node])
        graph.seen[node] = -1
        if node == root:
            graph.roots[graph.n_roots] = root
            graph.n_roots += 1
        else:
            graph.totals[2 * <Py_ssize_t> root] += graph.totals[2 * <Py_ssize_t> node]
            graph.totals[2 * <Py_ssize_t> root + 1] += graph.totals[2 * <Py_ssize_t> node + 1]
    for i in range(graph.n_roots):
        _merge_edges(graph, graph.roots[i])


cdef inline void _list_changed(Graph *graph, int node) noexcept nogil:
    if not graph.listed[node]:
        graph.listed[node] = 1
        graph.changed[graph.n_changed] = node
        graph.n_changed += 1


cdef void _list_roots_and_neighbors(Graph *graph) noexcept nogil:
    cdef Py_ssize_t i, link
    for i in range(graph.n_changed):
        graph.listed[graph.changed[i]] = 0
    graph.n_changed = 0
    for i in range(graph.n_roots):
        _list_changed(graph, graph.roots[i])
        link = graph.first[graph.roots[i]]
        while link >= 0:
            _list_changed(graph, graph.edges[link >> 1].node[1 - (link & 1)])
            link = graph.edges[link >> 1].next[link & 1]


cdef void _set_graph(Graph *graph, Py_ssize_t n, const int[:, ::1] pairs, const long long[:, ::1] sums) noexcept nogil:
    cdef Py_ssize_t i, k
    cdef int node
    for node in range(<int> n):
        graph.parent[node] = node
        graph.first[node] = -1
        graph.seen[node] = -1
        graph.listed[node] = 0
    for i in range(pairs.shape[0]):
        graph.edges[i].n_faces = sums[i, N_FACES]
        graph.edges[i].agreement = sums[i, AGREEMENT]
        graph.edges[i].convergence = sums[i, CONVERGENCE]
        for k in range(2):
            node = pairs[i, k]
            graph.edges[i].node[k] = node
            graph.edges[i].next[k] = graph.first[node]
            graph.first[node] = 2 * i + k
    graph.n_changed = 0
    for node in range(<int> n):
        _merge_edges(graph, node)
        if graph.first[node] >= 0:
            _list_changed(graph, node)


cdef Status _join(Graph *graph, const volatile_int *interrupt_flag) noexcept nogil:
    cdef Py_ssize_t i
    while graph.n_changed > 0:
        if interrupt_flag[0]:
            return INTERRUPTED
        for i in range(graph.n_changed):
            _find_best(graph, graph.changed[i])
        graph.n_members = 0
        for i in range(graph.n_changed):
            _join_best(graph, graph.changed[i])
        _merge_members(graph)
        _list_roots_and_neighbors(graph)
    return FINISHED


def join_basins(
    const int[:, ::1] pairs, const long long[:, ::1] sums, long long[:, ::1] totals, double min_affinity,
    int[::1] parent, const int[::1] interrupt
):
    """Set ``parent`` to the smallest basin of the object that each basin, 0..n-1, belongs to.

    ``pairs[k]`` are two different basins and ``sums[k]`` the sums over their common border, as `sum_borders` makes
    them; a pair may stand more than once. ``totals`` has the sums over the pixels of each basin, and becomes those of
    the objects. Pairs of an affinity above ``min_affinity`` are joined. Returns FINISHED, OUT_OF_MEMORY or INTERRUPTED.
    """
    cdef Py_ssize_t n = parent.shape[0], n_edges = pairs.shape[0]
    cdef int node
    cdef Status status = OUT_OF_MEMORY
    cdef const volatile_int *interrupt_flag = &interrupt[0]
    cdef Graph graph
    graph.parent = &parent[0]
    graph.totals = &totals[0, 0]
    graph.min_affinity = min_affinity
    with nogil:
        graph.edges = <Edge *> allocate(n_edges + 1, sizeof(Edge))
        graph.first = <Py_ssize_t *> allocate(n, sizeof(Py_ssize_t))
        graph.seen = <Py_ssize_t *> allocate(n, sizeof(Py_ssize_t))
        graph.best = <double *> allocate_zeros(n, sizeof(double))
        graph.listed = <int *> allocate(4 * n, sizeof(int))
        if graph.edges and graph.first and graph.seen and graph.best and graph.listed:
            graph.changed = graph.listed + n
            graph.roots = graph.changed + n
            graph.members = graph.roots + n
            _set_graph(&graph, n, pairs, sums)
            status = _join(&graph, interrupt_flag)
            for node in range(<int> n):
                parent[node] = _root(&graph, node)
        release(graph.edges)
        release(graph.first)
        release(graph.seen)
        release(graph.best)
        release(graph.listed)
    return status
