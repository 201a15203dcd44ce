CREATE OR REPLACE FUNCTION enotify.batch_moved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE was enotify.batch_state;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.state = OLD.state THEN
            RETURN NULL;
        END IF;
        was := OLD.state;
        IF NOT EXISTS (
            SELECT FROM enotify.batch_moves() m WHERE m.from_state = OLD.state AND m.to_state = NEW.state
        ) THEN
            RAISE EXCEPTION 'batch % is %; it cannot become %', NEW.id, OLD.state, NEW.state
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
    END IF;
    PERFORM enotify.note_batch(NEW.id, was, NEW.state, NEW.reason);
    -- One word for all: a transaction that moves many batches tells it once. A NOTIFY lets no other transaction with
    -- one commit meanwhile, so there is none where nobody waits for it.
    IF NEW.state NOT IN ('draft', 'retrying', 'done') THEN
        PERFORM pg_notify('enotify', 'batch');
    END IF;
    RETURN NULL;
END $$;

COMMENT ON FUNCTION enotify.batch_moved IS
    'refuses a change of state that is not in batch_moves(), logs every other one and wakes the nodes';

CREATE OR REPLACE TRIGGER moved AFTER INSERT OR UPDATE OF state ON enotify.batch
    FOR EACH ROW EXECUTE FUNCTION enotify.batch_moved();
