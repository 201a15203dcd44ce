-- Without SET, so that the planner inlines it: each change of state asks it.
CREATE OR REPLACE FUNCTION enotify.batch_moves()
RETURNS TABLE (from_state enotify.batch_state, to_state enotify.batch_state)
LANGUAGE sql IMMUTABLE AS $$
    VALUES ('draft'::enotify.batch_state, 'queued'::enotify.batch_state), ('draft', 'cancelled'),
           ('queued', 'sending'), ('queued', 'draining'), ('queued', 'paused'), ('queued', 'blocked'),
           ('queued', 'cancelled'), ('queued', 'done'),
           ('sending', 'draining'),
           ('sending', 'queued'), ('sending', 'retrying'), ('sending', 'done'), ('sending', 'paused'),
           ('sending', 'blocked'), ('sending', 'cancelled'),
           ('draining', 'queued'), ('draining', 'retrying'), ('draining', 'done'), ('draining', 'paused'),
           ('draining', 'blocked'), ('draining', 'cancelled'),
           ('retrying', 'done'), ('retrying', 'paused'), ('retrying', 'blocked'), ('retrying', 'cancelled'),
           ('retrying', 'queued'),
           ('paused', 'queued'), ('paused', 'cancelled'), ('paused', 'done'),
           ('blocked', 'queued'), ('blocked', 'paused'), ('blocked', 'cancelled'), ('blocked', 'done'),
           ('done', 'queued')
$$;

COMMENT ON FUNCTION enotify.batch_moves IS
    'every allowed change of a batch''s state. To done: all its recipients have an outcome, or it expired. From done: '
    'a requeue. From queued to draining: another batch is sending that somebody has locked';
