-- A new state needs a transaction of its own before it can be used.
ALTER TYPE enotify.batch_state ADD VALUE 'draining' AFTER 'sending';
